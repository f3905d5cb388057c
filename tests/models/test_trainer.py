"""Training, as the command runs it."""

import dataclasses

import numpy as np
import pytest

from imaging import FitPolicy
from models.augmentation import Augmentation
from models.checkpoint import Run
from models.datasets.data_set import DataSet
from models.datasets.split import Split
from models.experiment import TEACHING, Experiment, named_experiment
from models.networks import Convolution, NetworkSpec
from models.recipe import Recipe
from models.trainer import AUDIT_IMAGES, train
from models.training import error_percent

SPEC = NetworkSpec(
    group="C4",
    size=6,
    classes=2,
    mean=0.5,
    deviation=0.3,
    layers=(Convolution(channels=2, kernel=3), Convolution(channels=2, kernel=3)),
)


def noise(count, seed):
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, 1, 6, 6), np.uint8)
    return Split(images, random.integers(0, 2, count))


def experiment(choice=None, **changes):
    policy = FitPolicy(6, "crop", 9)
    splits = noise(64, 0), noise(600, 1), choice
    data = DataSet("noise", ("a", "b"), "none", "0" * 64, policy, *splits)
    recipe = Recipe(epochs=3, batch_size=16, augmentation=Augmentation(degrees=180), **changes)
    return Experiment("noise", SPEC, recipe, data)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "runs" / "noise"


def test_a_finished_run_holds_all_that_an_export_needs(folder):
    result = train(experiment(), folder, resume=False)
    run = Run.open(folder)
    assert run.result() == result
    assert result.test_count == 600
    assert run.audit_set().digest() == noise(600, 1)[:AUDIT_IMAGES].digest()
    assert (run.info.fit, run.info.fill) == ("crop", 9)
    assert run.network().spec == SPEC
    assert not list(folder.glob("*.partial")) + list(folder.glob(".*"))


@pytest.mark.slow
def test_the_error_is_that_of_the_network_that_is_kept(folder):
    result = train(experiment(validation=16, patience=1), folder, resume=False)
    test, run = noise(600, 1), Run.open(folder)
    assert error_percent(run.network(), test) == pytest.approx(result.test_error_percent)


def test_a_run_for_choosing_never_sees_the_test_images(folder):
    assert train(experiment(validation=16), folder, resume=False) is None
    with pytest.raises(ValueError, match="not been tested yet"):
        Run.open(folder).result()
    assert not (folder / "confusion.svg").exists()


@pytest.mark.slow
def test_choosing_judges_on_images_for_choices_and_is_tested_when_it_goes_on(folder):
    choice = noise(40, 2)
    assert train(experiment(choice), folder, resume=False, choose=True) is None
    training = Run.open(folder).training()
    assert training.history[-1].validation_error == error_percent(training.result, choice)
    with pytest.raises(ValueError, match="not been tested yet"):
        Run.open(folder).result()
    straight = folder.with_name("straight")
    tested = [train(experiment(choice), place, resume=True) for place in (folder, straight)]
    assert tested[0] == tested[1]
    weights = [(place / "weights.safetensors").read_bytes() for place in (folder, straight)]
    assert weights[0] == weights[1]


def test_choosing_needs_images_to_choose_by(folder):
    with pytest.raises(ValueError, match="no images for choices"):
        train(experiment(), folder, resume=False, choose=True)
    with pytest.raises(ValueError, match="not by both"):
        train(experiment(noise(40, 2), validation=16), folder, resume=False, choose=True)
    assert not folder.exists()


def test_a_run_is_taught_by_another(folder):
    train(experiment(), folder, resume=False)
    teacher = Run.open(folder)
    taught = experiment().taught_by(teacher)
    assert taught.recipe.teaching == TEACHING
    place = folder.with_name("taught")
    train(taught, place, resume=False)
    student = Run.open(place)
    assert student.info.teacher_sha256 == (teacher.weights_sha256(),)
    assert student.info.provenance()["teacher_sha256"] == student.info.teacher_sha256
    with pytest.raises(ValueError, match="another network"):  # it is not resumed without it
        train(experiment(teaching=TEACHING), place, resume=True)


def test_a_teacher_of_other_images_is_refused(folder):
    train(experiment(), folder, resume=False)
    other = dataclasses.replace(experiment(), network=SPEC.model_copy(update={"size": 8}))
    with pytest.raises(ValueError, match="6 for its size, and this one 8"):
        other.taught_by(Run.open(folder))


@pytest.mark.slow
def test_an_interruption_loses_no_finished_epoch(folder, monkeypatch):
    class StoppedError(Exception):
        pass

    record = Run.record

    def record_then_stop(run, training):
        record(run, training)
        if len(training.history) == 2:
            raise StoppedError

    monkeypatch.setattr(Run, "record", record_then_stop)
    with pytest.raises(StoppedError):
        train(experiment(), folder, resume=False)
    monkeypatch.setattr(Run, "record", record)
    assert len(Run.open(folder).training().history) == 2
    train(experiment(), folder, resume=True)
    straight = folder.with_name("straight")
    train(experiment(), straight, resume=False)
    weights = [(place / "weights.safetensors").read_bytes() for place in (folder, straight)]
    assert weights[0] == weights[1]


@pytest.mark.slow
def test_a_finished_run_may_be_finished_again(folder):
    first = train(experiment(), folder, resume=False)
    before = (folder / "weights.safetensors").read_bytes()
    assert train(experiment(), folder, resume=True) == first
    assert (folder / "weights.safetensors").read_bytes() == before


def test_a_name_without_a_network_or_a_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"no folder 'nobody' and no network.*rotmnist-c4"):
        named_experiment("nobody", tmp_path)
