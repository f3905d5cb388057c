"""What a network is taught to answer."""

import copy

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from imaging import RefusedError
from models.augmentation import Augmentation
from models.datasets.split import Split
from models.networks import Convolution, NetworkSpec
from models.recipe import Recipe
from models.targets import mean_of, mix, one_hot
from models.training import Training

SPEC = NetworkSpec(
    group="C4",
    size=6,
    classes=3,
    mean=0.5,
    deviation=0.3,
    layers=(Convolution(channels=4, kernel=3), Convolution(channels=4, kernel=3)),
)


def noise(count=48):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, 1, 6, 6), np.uint8)
    return Split(images, random.integers(0, 3, count))


def test_an_image_and_its_label_are_mixed_in_the_same_proportion():
    labels = torch.arange(64) % 10
    images = one_hot(labels, 10)[:, None, None] * 255  # an image that shows its own label
    random = torch.Generator().manual_seed(0)
    mixed, targets = mix(images, one_hot(labels, 10), 0.4, random)
    torch.testing.assert_close(mixed[:, 0, 0], targets * 255)
    shares = 1 - targets.gather(1, labels[:, None])
    assert 0.3 < shares.max() <= 0.4
    assert shares.min() >= 0


def trained(recipe, teacher=None):
    training = Training(SPEC, recipe, teacher=teacher)
    losses = [epoch.loss for epoch in training.epochs(noise())]
    weights = torch.cat([value.flatten() for value in training.result.state_dict().values()])
    return losses, weights


@pytest.mark.slow
@pytest.mark.parametrize(("epochs", "views"), [(2, None), (4, 2)])
def test_a_teacher_that_knows_the_labels_teaches_what_the_labels_do(epochs, views):
    recipe = Recipe(epochs=epochs, batch_size=16, arithmetic="float32", views=views)
    data = noise()
    known = {image.tobytes(): label for image, label in zip(data.images, data.labels, strict=True)}

    def labels(x):
        images = x.round().to(torch.uint8).numpy()
        return one_hot(torch.tensor([known[image.tobytes()] for image in images]), 3)

    taught = trained(recipe.model_copy(update={"teaching": 0.7}), labels)
    torch.testing.assert_close(taught[1], trained(recipe)[1], rtol=0, atol=1e-4)


def test_a_teacher_is_asked_once_about_each_copy_of_an_image():
    asked = []

    def teacher(x):
        asked.extend(image.numpy().tobytes() for image in x)
        return torch.full((len(x), 3), 1 / 3)

    turned = Augmentation(degrees=180)
    recipe = Recipe(epochs=5, batch_size=16, teaching=0.5, views=2, augmentation=turned)
    trained(recipe, teacher)
    assert len(asked) == len(set(asked)) == 2 * len(noise())


@pytest.mark.slow
def test_the_copies_of_a_resumed_run_are_the_same_ones():
    turned = Augmentation(degrees=180)
    recipe = Recipe(epochs=5, batch_size=16, teaching=0.5, views=2, augmentation=turned)

    def begin():
        return Training(SPEC, recipe, teacher=lambda x: (x.flatten(1)[:, :3] / 255).softmax(1))

    whole, first, second = begin(), begin(), begin()
    list(whole.epochs(noise()))
    epochs = first.epochs(noise())
    for _ in range(3):
        next(epochs)
    second.load_state_dict(first.state_dict())
    list(second.epochs(noise()))
    for ours, theirs in zip(second.result.parameters(), whole.result.parameters(), strict=True):
        assert torch.equal(ours, theirs)


@pytest.mark.slow
def test_a_teacher_with_all_the_weight_is_learned_whatever_the_labels_are():
    recipe = Recipe(
        epochs=12,
        batch_size=16,
        learning_rate=0.05,
        averaging=0.9,
        label_smoothing=0,
        teaching=1,
        arithmetic="float32",
    )
    training = Training(SPEC, recipe, teacher=lambda x: one_hot(torch.ones(len(x)).long(), 3))
    list(training.epochs(noise()))
    answers = training.result.eval()(torch.from_numpy(noise().images).float())
    assert (answers.argmax(1) == 1).all()


def test_a_recipe_that_needs_a_teacher_says_so():
    with pytest.raises(ValueError, match="--teacher"):
        Training(SPEC, Recipe(epochs=1, teaching=0.5))


def test_several_teachers_teach_their_mean():
    x = torch.rand(5, 1, 6, 6)
    teachers = [lambda x: x.flatten(1).softmax(1), lambda x: (-x).flatten(1).softmax(1)]
    first, second = (teacher(x) for teacher in teachers)
    torch.testing.assert_close(mean_of(teachers)(x), (first + second) / 2)
    assert mean_of([]) is None


@pytest.mark.parametrize("mixing", [0, 1e-9])
@pytest.mark.parametrize("soft", [False, True])
def test_soft_labels_are_what_is_learned_only_where_a_recipe_says_so(soft, mixing):
    data = noise()
    probabilities = np.random.default_rng(1).dirichlet([1, 1, 1], len(data)).astype(np.float32)
    data = Split(data.images, data.labels, soft_labels=probabilities)
    recipe = Recipe(
        epochs=1,
        batch_size=32,
        label_smoothing=0,
        validation=16,
        soft_labels=soft,
        mixing=mixing,
        arithmetic="float32",
    )
    training = Training(SPEC, recipe)
    with torch.no_grad():
        network = copy.deepcopy(training.network).train()
        logits = network(torch.from_numpy(data.images[:32]).float())
    wanted = probabilities if soft else np.eye(3, dtype=np.float32)[data.labels]
    expected = cross_entropy(logits, torch.from_numpy(wanted[:32])).item()
    epoch = next(training.epochs(data))
    assert epoch.loss == pytest.approx(expected, rel=1e-4)
    wrong = (logits.argmax(1).numpy() != data.labels[:32]).mean()
    assert epoch.train_error == pytest.approx(100 * wrong)


def test_a_recipe_with_soft_labels_refuses_a_data_set_without_any():
    training = Training(SPEC, Recipe(epochs=1, soft_labels=True))
    with pytest.raises(RefusedError, match="soft labels"):
        next(training.epochs(noise()))
