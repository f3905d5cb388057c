"""`orbitserve train`: what it refuses at once, and what it says before and after."""

import hashlib
import shlex
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from PIL import Image

from artifact.session import open_session
from models.checkpoint import Run
from models.networks import Convolution, Network, NetworkSpec
from models.recipe import Recipe
from models.run_info import Result, RunInfo

REPOSITORY = Path("model_repository")
SMALL = REPOSITORY / "rotmnist-c4-small/1/model.onnx"
GREY = np.random.default_rng(0).uniform(-5, 260, (70, 1, 28, 28)).astype(np.float32)
"""Augmented images, of which a deployed model takes none as it is."""


@pytest.fixture
def images(tmp_path):
    """Ten pictures of each of two classes, in a folder whose name is no model's."""
    random = np.random.default_rng(0)
    for name in ("良品", "b"):
        place = tmp_path / "部品" / name
        place.mkdir(parents=True)
        for i in range(10):
            Image.fromarray(random.integers(0, 256, (8, 8), np.uint8)).save(place / f"{i}.png")
    return tmp_path / "部品"


@pytest.fixture
def digits(tmp_path):
    """A folder of ten classes that are called as digits are."""
    for name in "0123456789":
        place = tmp_path / "digits" / name
        place.mkdir(parents=True)
        for i in range(10):
            grey = np.full((28, 28), 20 * int(name) + i, np.uint8)
            Image.fromarray(grey).save(place / f"{i}.png")
    return tmp_path / "digits"


def test_ctrl_c_says_how_to_go_on(run, monkeypatch, images, tmp_path):
    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr("models.trainer.train", interrupted)
    runs = tmp_path / "my runs"
    status, out, err = run("train", images, "--name", "parts", "--runs", runs, "--overwrite")
    assert (status, out) == (130, "")
    said = err.strip().rpartition("this goes on: ")[2]
    expected = ["orbitserve", "train", str(images), "--name", "parts", "--runs", str(runs)]
    assert shlex.split(said) == [*expected, "--resume"]


def test_afterwards_it_names_pictures_and_the_next_commands(run, monkeypatch, images, tmp_path):
    def trained(experiment, folder, **_):
        Run.begin(folder, experiment.info)
        (folder / "confusion.png").touch()
        return Result(test_error_percent=25, test_count=4)

    monkeypatch.setattr("models.trainer.train", trained)
    status, out, _ = run("train", images, "--name", "parts", "--runs", tmp_path / "runs")
    place = tmp_path / "runs" / "parts"
    assert status == 0
    assert out.splitlines() == [
        f"{place}: 25.00 % of 4 test images are wrong",
        f"pictures: {place}/confusion.png",
        f"next: orbitserve export parts --precision fp32,int8 --runs {tmp_path}/runs",
        "      orbitserve serve --default-model parts-int8",
    ]


@pytest.mark.slow
def test_a_class_is_named_on_its_line(run, images, tmp_path):
    """Of a downloaded folder, whose names could clear the screen and say something else."""
    (images / "b").rename(images / "b\x1b[2J\nx: 0.00 % wrong")
    options = ["--name", "a", "--epochs", "1", "--size", "8", "--runs", tmp_path / "runs"]
    status, _, err = run("train", images, *options)
    assert status == 0, err
    assert "2 classes: b\\u001b[2J\\nx: 0.00 % wrong 10" in err
    assert "\x1b" not in err
    assert not any(line.startswith("x:") for line in err.splitlines())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ([], "The name '部品' of the folder cannot be that of a model"),
        (["--name", "部品"], "names no model"),
        (["--resume", "--overwrite"], "not both"),
        (["--learning-rate", "nan", "--name", "a"], "learning-rate"),
        (["--learning-rate", "0", "--name", "a"], "learning-rate"),
        (["--name", "a", "--seed", str(2**64)], "The recipe's seed: Input should be less than"),
        (["--name", "a", "--batch-size", str(2**64)], "The recipe's batch_size: Input should be"),
        (["--name", "a", "--epochs", "1" + 400 * "0"], "The recipe's epochs: Input should be less"),
        (["--name", "a", "--test", "nowhere"], "There is no folder nowhere"),
        (["--name", "a", "--from", "nobody"], "is not the folder of a run"),
        (["--name", "a", "--group-by", "(", "--grey"], "no regular expression"),
    ],
)
def test_what_cannot_be_is_one_sentence_and_nothing_is_written(
    run, monkeypatch, images, tmp_path, arguments, sentence
):
    monkeypatch.setattr("models.trainer._progress", _silent)
    runs = tmp_path / "runs"
    status, out, err = run("train", images, "--runs", runs, *arguments)
    assert (status, out) == (3, "")
    assert sentence in err
    assert err.count("\n") == 1
    assert not runs.exists()


@pytest.mark.parametrize("named", ["rotmnist-c4-small", "rotmnist-c4-small/1", "file"])
def test_a_model_teaches_what_it_answers_as_it_is_deployed(run, monkeypatch, digits, named):
    taught = []
    monkeypatch.setattr(
        "models.trainer.train",
        lambda experiment, *_, **__: taught.append(
            (experiment.teachers[0], experiment.teachers[0].open(None)(torch.from_numpy(GREY)))
        ),
    )
    monkeypatch.setenv("ORBITSERVE_REPOSITORY", str(REPOSITORY))
    place = SMALL if named == "file" else named
    status, _, err = run("train", digits, "--size", "28", "--teacher", place)
    assert status == 0, err
    ((teacher, answers),) = taught
    assert teacher.sha256 == hashlib.sha256(SMALL.read_bytes()).hexdigest()
    whole = GREY.round().clip(0, 255).astype(np.uint8)
    session = open_session(SMALL.read_bytes(), 1)
    (probabilities,) = session.run(["probabilities"], {"image": whole})
    np.testing.assert_allclose(answers, probabilities, atol=1e-6)


def test_a_model_teaches_beside_a_folder_of_images_of_its_name(run, monkeypatch, digits, tmp_path):
    taught = []
    monkeypatch.setattr("models.trainer.train", lambda plan, *_, **__: taught.extend(plan.teachers))
    monkeypatch.setenv("ORBITSERVE_REPOSITORY", str(REPOSITORY.absolute()))
    (tmp_path / "rotmnist-c4-small").mkdir()
    monkeypatch.chdir(tmp_path)
    status, _, err = run("train", digits, "--size", "28", "--teacher", "rotmnist-c4-small")
    assert status == 0, err
    assert [teacher.name for teacher in taught] == ["rotmnist-c4-small/1"]


@pytest.mark.parametrize(
    ("teacher", "sentence"),
    [
        ("nowhere", "nowhere"),
        ("http://localhost:1", "not http://localhost:1"),
        (SMALL, "has images of shape (1, 28, 28), and this one (1, 8, 8)"),
    ],
)
def test_what_cannot_teach_is_refused(run, monkeypatch, images, tmp_path, teacher, sentence):
    monkeypatch.setattr("models.trainer._progress", _silent)
    where = ["--name", "parts", "--runs", tmp_path / "runs"]
    status, out, err = run("train", images, *where, "--teacher", teacher)
    assert (status, out) == (3, "")
    assert sentence in err
    assert err.count("\n") == 1


@pytest.fixture
def earlier(tmp_path):
    """A run whose network sees images of 8 x 8 pixels, cropped."""
    spec = NetworkSpec(
        group="C4",
        size=8,
        classes=2,
        mean=0.5,
        deviation=0.3,
        layers=(Convolution(channels=2, kernel=4),),
    )
    info = RunInfo(
        network=spec,
        recipe=Recipe(epochs=1),
        data_set="parts",
        data_sha256="0" * 64,
        data_licence="none",
        classes=("b", "良品"),
        fit="crop",
    )
    earlier = Run.begin(tmp_path / "runs" / "earlier", info)
    earlier.keep(Network(spec))
    return earlier.folder


@pytest.mark.parametrize("role", ["--teacher", "--from"])
def test_a_run_that_is_learned_from_is_not_removed_for_it(run, images, earlier, role):
    before = {path: path.read_bytes() for path in earlier.iterdir()}
    where = ["--name", "earlier", "--runs", earlier.parent, "--overwrite"]
    status, out, err = run("train", images, *where, role, earlier)
    assert (status, out, err.count("\n")) == (3, "", 1)
    assert "cannot be begun anew and be learned from too" in err
    assert {path: path.read_bytes() for path in earlier.iterdir()} == before


@pytest.mark.parametrize("images_beside", [False, True])
def test_a_run_is_found_by_its_name(run, monkeypatch, images, earlier, tmp_path, images_beside):
    begun = []
    monkeypatch.setattr("models.trainer.train", lambda plan, *_, **__: begun.append(plan.start))
    if images_beside:  # as the guide has them
        (tmp_path / "earlier").mkdir()
    monkeypatch.chdir(tmp_path)
    status, _, err = run("train", images, "--name", "later", "--from", "earlier")
    assert status == 0, err
    assert [start.folder for start in begun] == [Path("runs/earlier")]


@pytest.mark.parametrize("fit", [None, "crop", "pad"])
def test_what_starts_from_a_run_fits_images_as_it_did(run, monkeypatch, images, earlier, fit):
    begun = []
    monkeypatch.setattr("models.trainer._progress", _silent)
    monkeypatch.setattr("models.trainer.train", lambda plan, *_, **__: begun.append(plan.info.fit))
    asked = ["--fit", fit] if fit else []
    status, _, err = run("train", images, "--name", "later", "--from", earlier, *asked)
    if fit == "pad":
        assert (status, begun, err.count("\n")) == (3, [], 1)
        assert "were fitted by --fit crop; what starts from it has them, too" in err
    else:
        assert (status, begun) == (0, ["crop"]), err


def test_a_teacher_of_classes_in_another_order_is_refused(run, monkeypatch, digits):
    monkeypatch.setattr("models.trainer._progress", _silent)
    (digits / "9").rename(digits / "-9")
    status, _, err = run("train", digits, "--size", "28", "--teacher", SMALL)
    assert status == 3
    assert (
        "has classes ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9'], and this one ['-9'," in err
    )


def test_a_teacher_of_several_labels_is_refused(run, digits, tmp_path):
    model = onnx.load(SMALL)
    (last,) = [node for node in model.graph.node if node.op_type == "Softmax"]
    last.op_type = "Sigmoid"
    del last.attribute[:]
    onnx.save(model, tmp_path / "tags.onnx")
    where = ["--size", "28", "--runs", tmp_path / "runs"]
    status, out, err = run("train", digits, *where, "--teacher", tmp_path / "tags.onnx")
    assert (status, out, err.count("\n")) == (3, "", 1)
    assert "may give an image several labels, or none, and only models that give one are t" in err
    assert not (tmp_path / "runs").exists()


def test_options_of_a_folder_are_refused_for_a_network(run):
    status, _, err = run("train", "rotmnist-c4", "--grey", "--group-by", "_")
    assert status == 3
    assert err == "orbitserve: --grey and --group-by are for a folder of images.\n"


def _silent():
    from rich.progress import Progress

    return Progress(disable=True)


@pytest.mark.parametrize("asked", [True, False])
def test_a_run_that_goes_on_is_as_deterministic_as_it_began(
    run, monkeypatch, images, tmp_path, asked
):
    """Also where the option is not given again."""
    begun, told = [], []
    monkeypatch.setattr("models.devices.be_deterministic", lambda: told.append(True))

    def trained(experiment, folder, *, resume, **_):
        begun.append(Run.begin(folder, experiment.info, resume=resume).info.recipe.deterministic)

    monkeypatch.setattr("models.trainer.train", trained)
    arguments = ("train", images, "--name", "parts", "--runs", tmp_path / "runs")
    run(*arguments, *(["--deterministic"] if asked else []))
    run(*arguments, "--resume")
    assert (begun, told) == ([asked] * 2, [True] * 2 if asked else [])
