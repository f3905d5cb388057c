import copy
import json
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from imaging import RefusedError
from models.augmentation import Augmentation
from models.checkpoint import Run
from models.datasets.split import Split
from models.networks import Convolution, NetworkSpec
from models.recipe import Recipe
from models.run_info import Result, RunInfo
from models.training import Epoch, Training, error_percent, predict
from tests.disks import largest_file

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
PATIENT = RECIPE.model_copy(update={"epochs": 20, "patience": 3})


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


@pytest.mark.slow
def test_training_learns():
    data = stripes_and_rings()
    training = Training(SPEC, RECIPE)
    before = error_percent(training.result, data)
    *_, last = training.epochs(data)
    assert last.validation_error is not None
    assert last.validation_error < 10 < before


@pytest.mark.slow
@pytest.mark.parametrize("recipe", [RECIPE, PATIENT], ids=["all epochs", "early stopping"])
def test_an_interrupted_run_resumes_with_identical_results(recipe, tmp_path):
    data = stripes_and_rings()
    straight = Training(SPEC, recipe)
    list(straight.epochs(data))

    for epochs in (1, 2):  # each run ends after some epochs; the next begins from the files
        run = Run.begin(tmp_path / "run", info(recipe), resume=True)
        training = run.training()
        for _, _epoch in zip(range(epochs), training.epochs(data), strict=False):
            run.record(training)
    run = Run.begin(tmp_path / "run", info(recipe), resume=True)
    training = run.training()
    assert len(training.history) == 3
    torch.manual_seed(12345)  # what happened between sittings must not matter
    list(training.epochs(data))
    assert torch.equal(weights(training), weights(straight))
    for resumed, original in zip(training.history, straight.history, strict=True):
        assert resumed.loss == original.loss
    assert training.kept_epoch == straight.kept_epoch


@pytest.mark.slow
def test_another_seed_gives_another_network():
    data = stripes_and_rings()
    trainings = [Training(SPEC, RECIPE.model_copy(update={"seed": seed})) for seed in (0, 1)]
    for training in trainings:
        list(training.epochs(data))
    assert not torch.equal(*map(weights, trainings))


def keeps_the_best_epoch(kind):
    """Train until it is over; return whether the result is the average after the best epoch."""
    training = kind(SPEC, PATIENT)
    averages = [
        copy.deepcopy(training.average.module.state_dict())
        for _ in training.epochs(stripes_and_rings())
    ]
    best = min(training.history, key=lambda epoch: epoch.validation_error)
    assert best.epoch == len(training.history) - PATIENT.patience < PATIENT.epochs
    assert training.kept_epoch == best.epoch
    kept = training.result.state_dict()
    return all(torch.equal(kept[name], value) for name, value in averages[best.epoch - 1].items())


class KeepsTheLast(Training):
    """A mutant."""

    @property
    def result(self):
        return self.average.module


@pytest.mark.slow
def test_early_stopping_keeps_the_best_epoch():
    assert keeps_the_best_epoch(Training)
    assert not keeps_the_best_epoch(KeepsTheLast)


@pytest.mark.slow
def test_a_training_that_stopped_early_stays_stopped(tmp_path):
    run = Run.begin(tmp_path, info(PATIENT), resume=False)
    training = run.training()
    for _ in training.epochs(stripes_and_rings()):
        run.record(training)
    again = Run.begin(tmp_path, info(PATIENT), resume=True).training()
    assert list(again.epochs(stripes_and_rings())) == []
    assert torch.equal(weights(again), weights(training))


@pytest.mark.slow
@pytest.mark.parametrize(("extended_at", "over_after"), [(0, 4), (5, 8)])
def test_patience_begins_anew_where_a_run_was_made_longer(extended_at, over_after):
    training = Training(SPEC, PATIENT.model_copy(update={"extended_at": extended_at}))
    for number in range(1, 20):  # the first epoch stays the best
        training.history.append(
            Epoch(
                epoch=number,
                loss=1.0,
                train_error=0.0,
                validation_error=10.0 + number,
                learning_rate=0.0,
                seconds=1.0,
            )
        )
        if number > extended_at and training.is_over:
            break
    assert number == over_after


def test_early_stopping_needs_held_out_images():
    with pytest.raises(ValueError, match="held-out images"):
        Recipe(epochs=3, patience=1)


@pytest.mark.parametrize(("weighted", "mixing"), [(False, 0), (True, 0), (True, 1e-9)])
def test_with_class_weights_each_class_counts_as_much_however_rare_it_is(weighted, mixing):
    """Of one batch: the mean of the classes' mean losses, where without it is that of images.

    Where labels are mixed, however little, nothing divides by the weights that images have.
    """
    data = stripes_and_rings()
    rare = np.flatnonzero(data.labels == 0)[10:]
    kept = np.delete(np.arange(len(data)), rare)
    data = Split(data.images[kept], data.labels[kept])
    recipe = Recipe(
        epochs=1,
        batch_size=len(data),
        label_smoothing=0,
        class_weights=weighted,
        mixing=mixing,
        arithmetic="float32",
    )
    training = Training(SPEC.model_copy(update={"dropout": 0}), recipe)
    labels = torch.from_numpy(data.labels)
    with torch.no_grad():
        logits = copy.deepcopy(training.network).train()(torch.from_numpy(data.images))
        losses = cross_entropy(logits, labels, reduction="none")
    means = torch.stack([losses[labels == label].mean() for label in (0, 1)])
    expected = (means if weighted else losses).mean().item()
    assert losses.mean().item() != pytest.approx(means.mean().item(), rel=1e-2)
    assert next(training.epochs(data)).loss == pytest.approx(expected, rel=1e-4)


def one_step_an_epoch(**recipe):
    data = stripes_and_rings(32)
    given = {"epochs": 10, "batch_size": 32, "arithmetic": "float32"} | recipe
    spec = SPEC.model_copy(update={"dropout": 0.0})
    training = Training(spec, Recipe(**given))
    return training, training.epochs(data)


def test_the_learning_rate_climbs_to_its_peak_and_falls_as_a_cosine():
    _, epochs = one_step_an_epoch(learning_rate=0.02, warmup=0.4)
    rates = [epoch.learning_rate for epoch in epochs]
    falling = 0.01 * (1 + np.cos(np.pi * np.arange(6) / 6))
    assert rates == pytest.approx([0, 0.005, 0.01, 0.015, *falling])


@pytest.mark.parametrize("averaging", [0.1, 0.998])
def test_what_is_kept_is_the_average_of_the_steps(averaging):
    training, epochs = one_step_an_epoch(averaging=averaging)
    average = torch.zeros(())
    for steps, _epoch in zip(range(5), epochs, strict=False):  # while the steps are large
        current = torch.cat([p.detach().flatten() for p in training.network.parameters()])
        decay = min(averaging, (1 + steps) / (10 + steps)) if steps else 0.0
        average = decay * average + (1 - decay) * current
    kept = torch.cat([p.detach().flatten() for p in training.result.parameters()])
    torch.testing.assert_close(kept, average, rtol=1e-4, atol=1e-5)
    assert not torch.allclose(kept, current, rtol=1e-3, atol=1e-4)


def test_weights_decay():
    sizes = []
    for decay in (0.0, 1.0):
        training, epochs = one_step_an_epoch(weight_decay=decay, averaging=0, learning_rate=0.1)
        list(epochs)
        sizes.append(weights(training).square().sum())
    assert sizes[1] < 0.99 * sizes[0]


def test_labels_are_smoothed():
    losses = [next(one_step_an_epoch(label_smoothing=part)[1]).loss for part in (0.0, 0.2, 0.4)]
    assert losses[1] == pytest.approx((losses[0] + losses[2]) / 2, rel=1e-4)
    assert losses[0] != pytest.approx(losses[2], rel=1e-2)


def test_labels_do_not_depend_on_how_many_images_are_evaluated_at_once(monkeypatch):
    data, network = stripes_and_rings(), Training(SPEC, RECIPE).result
    at_once = predict(network, data.images)
    monkeypatch.setattr("models.training.BATCH_PIXELS", 7 * 8 * 8)
    sizes = []
    assert np.array_equal(predict(network, data.images, progress=sizes.append), at_once)
    assert set(sizes) == {7, 160 % 7}


@pytest.mark.slow
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
    run.keep(training.result)
    run.finish(Result(test_error_percent=1.5, test_count=160), data[:20])
    opened = Run.open(tmp_path)
    assert opened.audit_set().digest() == data[:20].digest()
    assert opened.result().test_error_percent == 1.5
    images = torch.from_numpy(data.images)
    with torch.inference_mode():
        assert torch.equal(opened.network()(images), training.result.eval()(images))


def test_a_result_is_that_of_the_weights_beside_it(tmp_path):
    """A run that went on and was killed at the wrong moment had a result of other weights."""
    data, result = stripes_and_rings(), Result(test_error_percent=1.5, test_count=160)
    run = Run.begin(tmp_path, info(), resume=False)
    first = run.training()
    run.keep(first.result)
    run.finish(result, data[:20])
    Run.begin(tmp_path, info(), resume=True).keep(first.result)
    assert Run.open(tmp_path).result() == result
    other = Training(SPEC, RECIPE.model_copy(update={"seed": 1}))
    run.keep(other.result)
    with pytest.raises(ValueError, match="not been tested yet"):
        Run.open(tmp_path).result()
    run.finish(result, data[:20])
    longer = info(RECIPE.model_copy(update={"epochs": RECIPE.epochs + 1}))
    Run.begin(tmp_path, longer, resume=True)
    with pytest.raises(ValueError, match="not been tested yet"):
        Run.open(tmp_path).result()


def test_one_process_at_a_time_trains_in_a_folder(tmp_path):
    place = tmp_path / "run"
    with (
        Run.held(place),
        pytest.raises(ValueError, match="Another process trains in"),
        Run.held(place),
    ):
        pass
    with Run.held(place):
        pass


def test_a_folder_that_holds_another_run_is_refused(tmp_path):
    Run.begin(tmp_path, info(), resume=False)
    with pytest.raises(ValueError, match="--resume"):
        Run.begin(tmp_path, info(), resume=False)
    with pytest.raises(ValueError, match="another network, recipe or data set"):
        Run.begin(tmp_path, info(RECIPE.model_copy(update={"seed": 1})), resume=True)


def test_what_a_killed_run_left_of_a_file_is_removed(tmp_path):
    left, busy = tmp_path / ".left.partial", tmp_path / ".busy.partial"
    for file in (left, busy):
        file.write_bytes(b"half")
    os.utime(left, (0, 0))
    Run.begin(tmp_path, info(), resume=False)
    assert (left.exists(), busy.exists()) == (False, True)


def test_an_unfinished_run_has_no_network(tmp_path):
    run = Run.begin(tmp_path, info(), resume=False)
    with pytest.raises(ValueError, match="no weights yet"):
        run.network()
    with pytest.raises(ValueError, match="not been tested yet"):
        run.result()
    with pytest.raises(ValueError, match="no audit set yet"):
        run.audit_set()
    with pytest.raises(ValueError, match=r"no run\.json"):
        Run.open(tmp_path / "elsewhere")


@pytest.mark.parametrize("content", [b"", b"no weights", "a folder", "of another network"])
def test_weights_that_cannot_be_read_are_refused_in_one_sentence(tmp_path, content):
    run = Run.begin(tmp_path / "run", info(), resume=False)
    file = run.folder / "weights.safetensors"
    if content == "a folder":
        file.mkdir()
    elif isinstance(content, str):
        run.keep(torch.nn.Linear(2, 2))
    else:
        file.write_bytes(content)
    with pytest.raises(
        RefusedError, match=r"The weights .*weights.safetensors (cannot be read: |is a folder; )"
    ):
        run.network()


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None])
def test_a_checkpoint_that_cannot_be_read_is_refused_in_one_sentence(tmp_path, content):
    run = Run.begin(tmp_path / "run", info(), resume=False)
    file = run.folder / "checkpoint.pt"
    if content is None:
        torch.save({"of": "something else"}, file)
    else:
        file.write_bytes(content)
    with pytest.raises(RefusedError, match=r"The checkpoint .*checkpoint.pt cannot be read: "):
        run.training()


class _Runs:
    """What pickle runs when it reads it."""

    def __init__(self, place):
        self.place = place

    def __reduce__(self):
        return Path.touch, (self.place,)


def test_nothing_in_a_checkpoint_is_run_and_nobody_is_told_how_to(tmp_path):
    run = Run.begin(tmp_path / "run", info(), resume=False)
    torch.save({"network": _Runs(tmp_path / "ran")}, run.folder / "checkpoint.pt")
    with pytest.raises(RefusedError, match=r"than numbers, and nothing in it was run\.$"):
        run.training()
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize("part", [None, "network", "average", "optimiser", "history"])
@pytest.mark.parametrize("value", [None, "x", 3, torch.zeros(2)], ids=str)
def test_a_checkpoint_of_something_else_is_a_sentence(tmp_path, part, value):
    run = Run.begin(tmp_path / "run", info(), resume=False)
    state = run.training().state_dict()
    torch.save({**state, part: value} if part else value, run.folder / "checkpoint.pt")
    with pytest.raises(RefusedError, match="holds something else than this network's"):
        run.training()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"classes": ["a"]}, "1 different classes are named, and the network has 2"),
        ({"classes": ["a", "a"]}, "1 different classes are named, and the network has 2"),
        ({"classes": ["a", " "]}, "1 different classes are named, and the network has 2"),
        ({"fill": 999}, "The fill is 999; a grey level from 0 to 255 is accepted"),
        ({"fit": "resize-crop"}, "goes with a size to resize to"),
    ],
)
def test_a_run_that_was_edited_is_a_sentence(tmp_path, change, sentence):
    run = Run.begin(tmp_path / "run", info(), resume=False)
    file = run.folder / "run.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | change))
    with pytest.raises(RefusedError, match=f"run.json does not describe a run: .*{sentence}"):
        Run.open(run.folder)


@pytest.mark.parametrize(("error", "count"), [(-1, 4), (101, 4), (float("nan"), 4), (0, 0)])
def test_a_result_that_nobody_measured_is_refused(tmp_path, error, count):
    run = Run.begin(tmp_path / "run", info(), resume=False)
    text = json.dumps({"test_error_percent": error, "test_count": count})
    (run.folder / "result.json").write_text(text)
    with pytest.raises(RefusedError, match=r"result\.json holds no result: Input should be"):
        run.result()


def test_a_full_disk_is_told_in_one_sentence_and_leaves_what_was_there(tmp_path):
    run = Run.begin(tmp_path / "run", info(), resume=False)
    training = run.training()
    before = sorted(run.folder.iterdir())
    for write in (lambda: run.record(training), lambda: run.keep(training.network)):
        with (
            largest_file(64),
            pytest.raises(RefusedError, match=r"cannot be written: [^\n]+\.$"),
        ):
            write()
    assert sorted(run.folder.iterdir()) == before
