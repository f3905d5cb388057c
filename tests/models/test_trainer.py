"""Training, as the command runs it."""

import csv
import dataclasses

import numpy as np
import pytest
from PIL import Image

from imaging import FitPolicy, RefusedError
from models.augmentation import Augmentation
from models.checkpoint import Run
from models.datasets.data_set import DataSet
from models.datasets.split import Split
from models.experiment import TEACHING, Experiment, named_experiment
from models.figures import draw_confusion
from models.networks import Convolution, NetworkSpec
from models.recipe import Recipe
from models.teachers import TrainedTeacher, teacher_of
from models.trainer import AUDIT_IMAGES, train
from models.training import Training, error_percent
from tests.disks import largest_file
from tests.permissions import held_to_permissions

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


def experiment(judges=None, **changes):
    policy = FitPolicy(6, "crop", 9)
    splits = noise(64, 0), noise(600, 1), judges
    data = DataSet("noise", ("a", "b"), "none", "0" * 64, policy, *splits)
    asked = {"epochs": 3, "batch_size": 16} | changes
    recipe = Recipe(augmentation=Augmentation(degrees=180), **asked)
    return Experiment("noise", SPEC, recipe, data)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "runs" / "noise"


@pytest.mark.slow
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
    with pytest.raises(RefusedError) as error:
        Run.open(folder).outcome()
    assert str(error.value) == (  # and not that --resume finishes it
        f"{folder} has not been tested yet, as it holds 16 images out to choose by; a run without "
        "--validation is tested."
    )
    assert not (folder / "confusion.svg").exists()


@pytest.mark.slow
def test_choosing_judges_on_validation_images_and_is_tested_when_it_goes_on(folder):
    judges = noise(40, 2)
    assert train(experiment(judges), folder, resume=False, choose=True) is None
    training = Run.open(folder).training()
    assert training.history[-1].validation_error == error_percent(training.result, judges)
    with pytest.raises(ValueError, match="not been tested yet"):
        Run.open(folder).result()
    straight = folder.with_name("straight")
    tested = [train(experiment(judges), place, resume=True) for place in (folder, straight)]
    assert tested[0] == tested[1]
    weights = [(place / "weights.safetensors").read_bytes() for place in (folder, straight)]
    assert weights[0] == weights[1]


def test_choosing_needs_images_to_choose_by(folder):
    with pytest.raises(ValueError, match="no validation images"):
        train(experiment(), folder, resume=False, choose=True)
    with pytest.raises(ValueError, match="not by both"):
        train(experiment(noise(40, 2), validation=16), folder, resume=False, choose=True)
    assert not folder.exists()


@pytest.mark.slow
@pytest.mark.parametrize("views", [None, 2])
def test_a_run_is_taught_by_another(folder, views):
    train(experiment(), folder, resume=False)
    teacher = Run.open(folder)
    taught = experiment(views=views).taught_by(teacher_of(teacher))
    assert taught.recipe.teaching == TEACHING
    place = folder.with_name("taught")
    train(taught, place, resume=False)
    student = Run.open(place)
    assert student.info.teacher_sha256 == (teacher.weights_sha256(),)
    assert student.info.provenance()["teacher_sha256"] == student.info.teacher_sha256
    with pytest.raises(RefusedError, match="learns from a teacher"):  # not resumed without it
        train(experiment(teaching=TEACHING), place, resume=True)
    with pytest.raises(RefusedError, match="another network"):
        train(experiment(), place, resume=True)


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_recipe_without_its_teacher_begins_and_removes_nothing(folder, overwrite):
    if overwrite:
        train(experiment(validation=16, epochs=1), folder)
    before = {path: path.read_bytes() for path in folder.glob("*")}
    with pytest.raises(RefusedError, match="learns from a teacher"):
        train(experiment(teaching=TEACHING), folder, overwrite=overwrite)
    assert {path: path.read_bytes() for path in folder.glob("*")} == before
    assert folder.exists() == overwrite


@pytest.mark.parametrize("role", ["teacher", "start"])
def test_weights_that_are_replaced_meanwhile_are_not_used(folder, monkeypatch, role):
    """Their digest is in the run's files before they are read."""
    train(experiment(validation=16, epochs=1), folder, resume=False)
    earlier, begin = Run.open(folder), Run.begin

    def begin_late(*arguments, **options):
        run = begin(*arguments, **options)
        earlier.keep(Training(SPEC, earlier.info.recipe.model_copy(update={"seed": 9})).result)
        return run

    plan = experiment(validation=16, epochs=1)
    plan = plan.taught_by(teacher_of(earlier)) if role == "teacher" else plan.started_from(earlier)
    monkeypatch.setattr(Run, "begin", begin_late)
    with pytest.raises(RefusedError, match="no longer those with the digest"):
        train(plan, folder.with_name("later"), resume=False)


@pytest.mark.slow
def test_a_teacher_of_other_images_is_refused(folder):
    train(experiment(), folder, resume=False)
    other = dataclasses.replace(experiment(), network=SPEC.model_copy(update={"size": 8}))
    with pytest.raises(ValueError, match=r"shape \(1, 6, 6\), and this one \(1, 8, 8\)"):
        other.taught_by(teacher_of(Run.open(folder)))


@pytest.mark.parametrize("names", [(), ("0", "1", "2")])
def test_a_teacher_of_another_number_of_classes_is_refused(names):
    """Also one that does not name them, as a file may not."""

    def unopened(device):
        raise AssertionError

    teacher = TrainedTeacher("a file", (1, 6, 6), 3, names, "0" * 64, unopened)
    with pytest.raises(RefusedError, match="a file has a number of classes of 3, and this one 2"):
        experiment().taught_by(teacher)


class StoppedError(Exception):
    """What interrupts a training."""


def train_two_epochs(plan, folder):
    """Begin a run, and interrupt it after its second epoch."""
    record = Run.record

    def record_then_stop(run, training):
        record(run, training)
        if len(training.history) == 2:
            raise StoppedError

    with pytest.MonkeyPatch.context() as patch, pytest.raises(StoppedError):
        patch.setattr(Run, "record", record_then_stop)
        train(plan, folder, resume=False)


def answering(asked):
    """Return a plan with a teacher of four copies of the images, which notes what it is asked."""

    def answer(x):
        asked.append(len(x))
        return (x.flatten(1)[:, :2] / 255).softmax(1)

    teacher = TrainedTeacher("a file", (1, 6, 6), 2, (), "0" * 64, lambda device: answer)
    return experiment(epochs=5, views=4).taught_by(teacher)


@pytest.mark.slow
def test_a_teacher_is_not_asked_again_after_an_interruption(folder):
    asked: list[int] = []
    train_two_epochs(answering([]), folder)
    train(answering(asked), folder, resume=True)
    straight, all_of_them = folder.with_name("straight"), []
    train(answering(all_of_them), straight, resume=False)
    # Each also asks in its estimate of how long it will take.
    assert sum(all_of_them) - sum(asked) == 2 * 64
    weights = [(place / "weights.safetensors").read_bytes() for place in (folder, straight)]
    assert weights[0] == weights[1]
    assert not (folder / "answers").exists()


def test_answers_that_are_none_are_refused(folder):
    train_two_epochs(answering([]), folder)
    file = folder / "answers" / "1.npy"
    for content in (b"", b"\x93NUMPY", np.zeros(3), np.zeros((64, 3)), np.array([{}])):
        if isinstance(content, bytes):
            file.write_bytes(content)
        else:
            np.save(file, content)
        with pytest.raises(RefusedError, match=r"The answers .*1\.npy cannot be read"):
            train(answering([]), folder, resume=True)
    train(answering([]), folder, overwrite=True)
    assert not file.exists()


@pytest.mark.slow
def test_an_interruption_loses_no_finished_epoch(folder):
    train_two_epochs(experiment(), folder)
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


@pytest.mark.slow
def test_a_finished_run_goes_on_for_more_epochs(folder):
    train(experiment(validation=16, patience=1), folder)
    run, longer = Run.open(folder), experiment(validation=16, patience=1)
    done = len(run.training().history)
    train(longer.with_recipe({"epochs": done + 2}), folder, resume=True)
    assert Run.open(folder).info.recipe.extended_at == done
    after = len(Run.open(folder).training().history)
    assert after > done  # its patience had ended
    with pytest.raises(ValueError, match=f"has run for {after} epochs already"):
        train(longer.with_recipe({"epochs": after - 1}), folder, resume=True)


@pytest.mark.slow
def test_a_run_is_begun_anew_only_where_that_is_asked(folder):
    train(experiment(), folder)
    (folder / "wrong.png").touch()
    (folder / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match=r"--resume goes on with it, --overwrite .*--name"):
        Run.begin(folder, experiment().info)
    with pytest.raises(ValueError, match="another network, recipe or data set; --overwrite"):
        Run.begin(folder, experiment(batch_size=8).info, resume=True)
    assert (folder / "weights.safetensors").exists()
    Run.begin(folder, experiment(batch_size=8).info, overwrite=True)
    assert {path.name for path in folder.iterdir()} == {"run.json", "notes.txt"}


@pytest.mark.slow
def test_a_run_starts_from_the_weights_of_another(folder):
    train(experiment(), folder)
    first, place = Run.open(folder), folder.with_name("second")
    second = experiment().started_from(first)
    assert second.info.start_sha256 == first.weights_sha256()
    assert second.info.provenance()["start_sha256"] == first.weights_sha256()
    run = Run.begin(place, second.info)
    training = run.training()
    before = training.network.state_dict()["head.weight"].clone()
    training.start_from(first.network(), keep_head=False)
    started = training.network.state_dict()
    for name, value in first.network().state_dict().items():
        assert started[name].equal(value) != name.startswith("head."), name
    assert started["head.weight"].equal(before)
    training.start_from(first.network(), keep_head=True)
    assert training.result.state_dict()["head.weight"].equal(first.network().head.weight)
    other = dataclasses.replace(experiment(), network=SPEC.model_copy(update={"size": 8}))
    with pytest.raises(ValueError, match="is not that of noise"):
        other.started_from(first)


@pytest.mark.slow
def test_a_training_begins_with_the_weights_it_starts_from(folder, monkeypatch):
    train(experiment(), folder)
    given = []
    monkeypatch.setattr(
        Training,
        "start_from",
        lambda self, network, keep_head: given.append(
            (network.state_dict()["head.weight"], keep_head)
        ),
    )
    train(experiment().started_from(Run.open(folder)), folder.with_name("second"))
    ((weights, keep_head),) = given
    assert keep_head and weights.equal(Run.open(folder).network().head.weight)


@pytest.mark.slow
def test_what_is_wrong_is_listed_and_drawn(folder, capsys):
    result = train(experiment(), folder)
    printed = capsys.readouterr().err
    assert "noise: 664 images of 2 classes: a " in printed
    assert "for 3 epochs on the cpu, by a few timed steps" in printed
    assert printed.count("\nwrong: test image ") == 20
    lines = (folder / "wrong.csv").read_text("utf-8-sig").splitlines()
    assert len(lines) - 1 == round(result.test_error_percent * 6)
    labels = noise(600, 1).labels
    for line in lines[1:]:
        _, file, true, given, probability = next(csv.reader([line]))
        assert "ab"[labels[int(file.removeprefix("test image "))]] == true != given
        assert float(probability) >= 0.5
    with Image.open(folder / "wrong.png") as picture:
        assert min(picture.size) > 500


@pytest.mark.slow
def test_the_trial_that_is_timed_changes_nothing(folder, monkeypatch):
    train(experiment(), folder)
    monkeypatch.setattr("models.trainer.seconds_an_epoch", lambda *_, **__: 1.0)
    place = folder.with_name("untimed")
    train(experiment(), place)
    weights = [(at / "weights.safetensors").read_bytes() for at in (folder, place)]
    assert weights[0] == weights[1]


@pytest.mark.slow
def test_a_full_disk_is_a_sentence_and_leaves_whole_files(folder):
    train(experiment(epochs=1), folder)
    before = {path: path.read_bytes() for path in folder.iterdir()}
    size = (folder / "checkpoint.pt").stat().st_size
    with largest_file(size - 1), pytest.raises(RefusedError) as error:
        train(experiment(epochs=2), folder, resume=True)
    assert str(error.value) == f"The file {folder}/checkpoint.pt cannot be written: File too large."
    changed = {path for path in folder.iterdir() if path.read_bytes() != before.get(path)}
    assert changed == {folder / "run.json"}  # which says how many epochs were asked for


@pytest.mark.slow
@pytest.mark.parametrize("largest", [100, 3000, 20_000])
def test_a_picture_on_a_full_disk_is_whole_or_not_there(tmp_path, largest):
    paths = [tmp_path / "confusion.svg", tmp_path / "confusion.png"]
    with largest_file(largest), pytest.raises(RefusedError, match="cannot be written"):
        draw_confusion(np.eye(30, dtype=np.int64), [f"a {i}" for i in range(30)], paths)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_may_not_be_written_is_refused_before_anything_is_trained(tmp_path):
    tmp_path.chmod(0o500)
    with held_to_permissions(), pytest.raises(RefusedError, match="cannot be made: Permission"):
        Run.begin(tmp_path / "runs" / "a", experiment().info)
    tmp_path.chmod(0o700)
    (tmp_path / "file").touch()
    with pytest.raises(RefusedError, match="no folder that may be; --runs names another"):
        Run.check_free(tmp_path / "file" / "a", resume=False, overwrite=False)


@pytest.mark.slow
def test_weights_that_may_not_be_read_are_a_sentence(folder):
    train(experiment(), folder)
    weights = folder / "weights.safetensors"
    weights.chmod(0o000)
    with held_to_permissions(), pytest.raises(RefusedError) as error:
        experiment().started_from(Run.open(folder))
    assert str(error.value) == f"The weights {weights} cannot be read: Permission denied."
