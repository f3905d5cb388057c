import numpy as np
import pytest
import torch

from models.augmentation import Augmentation
from models.checkpoint import Result, Run, RunInfo
from models.datasets.split import Split
from models.networks import Convolution, NetworkSpec
from models.training import Recipe, Training, error_percent

SPEC = NetworkSpec(
    group="C4",
    size=8,
    classes=2,
    mean=0.5,
    deviation=0.5,
    layers=(Convolution(channels=4, kernel=3), Convolution(channels=4, kernel=3)),
    dropout=0.2,
)
RECIPE = Recipe(
    epochs=4,
    batch_size=16,
    learning_rate=0.02,
    validation=32,
    augmentation=Augmentation(degrees=180, scale=0.1),
)


def stripes_and_rings(count=160):
    """Two classes that differ in every orientation: stripes, and rings."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:8, :8] - 3.5
    labels = random.integers(0, 2, count)
    stripes, rings = np.sin(2 * x), np.sin(2 * np.hypot(x, y))
    images = np.where(labels[:, None, None], rings, stripes) * 90 + 127
    noisy = images + random.normal(0, 10, images.shape)
    return Split(noisy.clip(0, 255).astype(np.uint8)[:, None], labels)


def info(recipe=RECIPE):
    return RunInfo(
        network=SPEC,
        recipe=recipe,
        data_set="toy",
        data_sha256="0" * 64,
        data_licence="none",
        classes=("stripes", "rings"),
    )


def weights(training):
    return torch.cat([value.flatten() for value in training.result.state_dict().values()])


def test_training_learns():
    data = stripes_and_rings()
    training = Training(SPEC, RECIPE)
    before = error_percent(training.result, data)
    *_, last = training.epochs(data)
    assert last.validation_error is not None
    assert last.validation_error < 10 < before


def test_an_interrupted_run_resumes_with_identical_results(tmp_path):
    data = stripes_and_rings()
    straight = Training(SPEC, RECIPE)
    list(straight.epochs(data))

    for epochs in (1, 2):  # each sitting ends after some epochs; the next begins from the files
        run = Run.begin(tmp_path / "run", info(), resume=True)
        training = run.training()
        for _, _epoch in zip(range(epochs), training.epochs(data), strict=False):
            run.record(training)
    run = Run.begin(tmp_path / "run", info(), resume=True)
    training = run.training()
    assert len(training.history) == 3
    torch.manual_seed(12345)  # what happened between sittings must not matter
    list(training.epochs(data))
    assert torch.equal(weights(training), weights(straight))
    for resumed, original in zip(training.history, straight.history, strict=True):
        assert resumed.loss == original.loss


def test_another_seed_gives_another_network():
    data = stripes_and_rings()
    trainings = [Training(SPEC, RECIPE.model_copy(update={"seed": seed})) for seed in (0, 1)]
    for training in trainings:
        list(training.epochs(data))
    assert not torch.equal(*map(weights, trainings))


def test_held_out_images_are_never_trained_on():
    data = stripes_and_rings()
    altered = Split(data.images.copy(), data.labels.copy())
    altered.images[-RECIPE.validation :] = 0
    outcomes = []
    for split in (data, altered):
        training = Training(SPEC, RECIPE)
        list(training.epochs(split))
        outcomes.append(weights(training))
    assert torch.equal(*outcomes)


def test_a_finished_run_gives_its_network_back(tmp_path):
    data = stripes_and_rings()
    run = Run.begin(tmp_path, info(), resume=False)
    training = run.training()
    list(training.epochs(data))
    run.finish(training.result, Result(test_error_percent=1.5, test_count=160))
    opened = Run.open(tmp_path)
    assert opened.result().test_error_percent == 1.5
    images = torch.from_numpy(data.images)
    with torch.inference_mode():
        assert torch.equal(opened.network()(images), training.result.eval()(images))


def test_a_folder_that_holds_another_run_is_refused(tmp_path):
    Run.begin(tmp_path, info(), resume=False)
    with pytest.raises(ValueError, match="--resume"):
        Run.begin(tmp_path, info(), resume=False)
    with pytest.raises(ValueError, match="another network, recipe or data set"):
        Run.begin(tmp_path, info(RECIPE.model_copy(update={"seed": 1})), resume=True)


def test_an_unfinished_run_has_no_network(tmp_path):
    run = Run.begin(tmp_path, info(), resume=False)
    with pytest.raises(ValueError, match="no weights yet"):
        run.network()
    with pytest.raises(ValueError, match=r"no run\.json"):
        Run.open(tmp_path / "elsewhere")
