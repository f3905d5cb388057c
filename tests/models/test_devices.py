"""Training on the CPU and on an NVIDIA GPU, and from one to the other."""

import numpy as np
import pytest
import torch

from models.augmentation import Augmentation
from models.checkpoint import Run, RunInfo
from models.datasets.split import Split
from models.devices import autocast, find_device
from models.networks import Convolution, MaxPooling, NetworkSpec, RestrictTo
from models.recipe import Recipe
from models.training import Training, predict

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a GPU")
needs_gpu = pytest.mark.skipif(
    not torch.cuda.is_available(), reason="PyTorch sees no NVIDIA GPU here"
)

SPEC = NetworkSpec(
    group="D8",
    basis="steerable",
    size=12,
    classes=2,
    mean=0.5,
    deviation=0.3,
    layers=(
        Convolution(channels=2, kernel=3, padding=1),
        MaxPooling(kernel=2, stride=2),
        Convolution(channels=2, kernel=3, padding=1, separable=True),
        RestrictTo(group="C8"),
        Convolution(channels=4, kernel=3),
    ),
    field_dropout=0.1,
)
RECIPE = Recipe(
    epochs=4,
    batch_size=16,
    learning_rate=0.02,
    validation=32,
    mixing=0.2,
    arithmetic="float32",
    augmentation=Augmentation(degrees=180, scale=0.1, shear=0.1, elastic=0.5, exposure=0.1),
)


def stripes_and_rings(count=160):
    random = np.random.default_rng(0)
    y, x = np.mgrid[:12, :12] - 5.5
    labels = random.integers(0, 2, count)
    images = np.where(labels[:, None, None], np.sin(np.hypot(x, y)), np.sin(x)) * 90 + 127
    noisy = images + random.normal(0, 10, images.shape)
    return Split(noisy.clip(0, 255).astype(np.uint8)[:, None], labels)


def begin(folder):
    info = RunInfo(
        network=SPEC,
        recipe=RECIPE,
        data_set="toy",
        data_sha256="0" * 64,
        data_licence="none",
        classes=("stripes", "rings"),
    )
    return Run.begin(folder, info, resume=True)


def losses_of_a_move(folder, first, then):
    """Train two epochs on a device and the last two on another, by way of the files."""
    run = begin(folder)
    for device, epochs in ((first, 2), (then, 2)):
        training = run.training(torch.device(device))
        for _, _epoch in zip(range(epochs), training.epochs(stripes_and_rings()), strict=False):
            run.record(training)
    return [epoch.loss for epoch in training.history]


def test_auto_takes_a_gpu_where_there_is_one(monkeypatch):
    for there, found in ((True, "cuda"), (False, "cpu")):
        monkeypatch.setattr(torch.cuda, "is_available", lambda there=there: there)
        assert find_device("auto").type == found
        assert find_device("cpu").type == "cpu"


@without_gpu
def test_a_gpu_that_is_not_there_is_refused_in_one_sentence():
    with pytest.raises(ValueError, match=r"no NVIDIA GPU.*--device cpu") as error:
        find_device("cuda")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("arithmetic", ["float32", "bfloat16"])
def test_a_recipe_names_the_arithmetic(arithmetic):
    with autocast(torch.device("cpu"), arithmetic):
        product = torch.ones(2, 2) @ torch.ones(2, 2)
    assert product.dtype == getattr(torch, arithmetic)


@pytest.mark.slow
def test_a_checkpoint_does_not_name_its_device(tmp_path):
    straight = losses_of_a_move(tmp_path, "cpu", "cpu")
    state = torch.load(tmp_path / "checkpoint.pt", map_location="meta", weights_only=True)
    assert len(state["history"]) == len(straight) == RECIPE.epochs


@pytest.mark.gpu
@needs_gpu
@pytest.mark.parametrize(("first", "then"), [("cpu", "cuda"), ("cuda", "cpu"), ("cuda", "cuda")])
def test_a_run_goes_on_on_another_device(first, then, tmp_path):
    """Dropout draws other numbers there, so that the losses are near and not equal."""
    straight = losses_of_a_move(tmp_path / "straight", "cpu", "cpu")
    moved = losses_of_a_move(tmp_path / "moved", first, then)
    assert moved == pytest.approx(straight, abs=0.2)


@pytest.mark.gpu
@needs_gpu
def test_a_gpu_sees_the_same_images_and_gives_the_same_labels():
    data = stripes_and_rings()
    plain = RECIPE.model_copy(update={"epochs": 1, "batch_size": 128})
    spec = SPEC.model_copy(update={"field_dropout": 0.0})
    trainings = [Training(spec, plain, torch.device(name)) for name in ("cpu", "cuda")]
    # One batch, so that the loss is that of the first weights on the augmented images.
    losses = [next(training.epochs(data)).loss for training in trainings]
    assert losses[1] == pytest.approx(losses[0], rel=1e-3)
    on_cpu, on_gpu = (training.network.eval() for training in trainings)
    on_cpu.load_state_dict(on_gpu.state_dict())
    assert np.array_equal(predict(on_cpu, data.images), predict(on_gpu, data.images))


@pytest.mark.gpu
@needs_gpu
def test_training_in_bfloat16_learns_on_a_gpu():
    recipe = RECIPE.model_copy(update={"epochs": 8, "arithmetic": "auto"})
    *_, last = Training(SPEC, recipe, torch.device("cuda")).epochs(stripes_and_rings())
    assert last.validation_error < 15
