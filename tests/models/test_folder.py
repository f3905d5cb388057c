"""Training on a folder of one's own images, from the files to a version that is audited."""

import numpy as np
import pytest
from PIL import Image

import orbitserve
from artifact.audit_set import load_audit_set
from artifact.card import load_card
from export.package import package
from imaging import FitPolicy, decode, fit
from models.checkpoint import Run
from models.datasets.folder import LEAST, survey
from models.datasets.folder_source import FolderSource
from models.datasets.own_images import OwnImages
from models.experiment import folder_experiment
from models.trainer import train


def picture(kind, random, side):
    """Stripes, rings or a chequer-board, rotated at random and noisy: uint8 [h, w]."""
    height, width = side + random.integers(0, 5, 2)
    y, x = np.mgrid[:height, :width] - (side / 2)
    angle = random.uniform(0, 2 * np.pi)
    across = x * np.cos(angle) + y * np.sin(angle)
    along = y * np.cos(angle) - x * np.sin(angle)
    pattern = {
        "stripes": np.sin(across),
        "rings": np.sin(np.hypot(x, y)),
        "chequers": np.sin(across) * np.sin(along),
    }[kind]
    noisy = 127 + 90 * pattern + random.normal(0, 10, pattern.shape)
    return noisy.clip(0, 255).astype(np.uint8)


@pytest.fixture
def make_folder(tmp_path):
    """Return a function that makes a folder of generated pictures: so many of each class."""

    def make(counts, *, name="Own Images", side=16, coloured=False, suffix=".png"):
        random = np.random.default_rng(0)
        for kind, count in counts.items():
            place = tmp_path / name / kind
            place.mkdir(parents=True)
            for i in range(count):
                grey = picture(kind, random, side)
                pixels = np.stack([grey, grey // 2, 255 - grey], -1) if coloured else grey
                Image.fromarray(pixels).save(place / f"{i:03}{suffix}")
        return tmp_path / name

    return make


@pytest.mark.slow
def test_a_folder_becomes_a_version_that_is_audited(make_folder, tmp_path):
    folder = make_folder({"stripes": 60, "rings": 40, "chequers": 30}, coloured=True)
    experiment = folder_experiment(FolderSource(folder=folder, fit="crop")).with_recipe(
        {"epochs": 15}
    )
    result = train(experiment, tmp_path / "runs" / experiment.name, resume=False)
    assert result.test_count == 26
    assert result.test_error_percent < 50

    place = tmp_path / "runs" / "own-images"
    pictures = {"confusion.png", "confusion.svg", "learning-curve.svg"}
    assert pictures <= {path.name for path in place.iterdir()}

    # The images may go: the run keeps what an export needs.
    folder.rename(tmp_path / "elsewhere")
    version = package(Run.open(place), tmp_path / "repository", experiment.name)
    card = load_card(version / "card.json")
    assert (card.name, card.version, card.group) == ("own-images", 1, "D4")
    assert card.classes == ("chequers", "rings", "stripes")
    assert card.input.channels == 3
    assert card.input.fit == FitPolicy(experiment.network.size, "crop")
    assert card.metrics["test"].error_percent == result.test_error_percent
    assert card.training.data_sha256 == experiment.data.sha256
    assert card.audit.label_agreement == 1
    assert card.audit.max_logit_deviation < 1e-5
    images = load_audit_set(version / "audit.npz").images
    assert np.array_equal(images, experiment.data.test.images)


def test_images_are_prepared_by_the_code_that_serves(make_folder):
    source = FolderSource(folder=make_folder({"stripes": 12, "rings": 12}, suffix=".jpg"))
    own, policy = OwnImages.survey(source), FitPolicy(11, "pad", 7)
    found, data = own.found, own.read(policy)
    served = {
        (fit(decode(path.read_bytes(), 1), policy).tobytes(), label)
        for path, label in zip(found.files, found.labels, strict=True)
    }
    parts = (data.train, data.test)
    trained = {
        (image.tobytes(), int(label))
        for part in parts
        for image, label in zip(part.images, part.labels, strict=True)
    }
    assert trained == served
    assert data.fit == policy


def test_images_of_a_camera_with_twelve_bits_have_the_white_that_is_said(tmp_path):
    random = np.random.default_rng(0)
    for kind in ("a", "b"):
        (tmp_path / "cells" / kind).mkdir(parents=True)
        for i in range(LEAST):
            grey = random.integers(0, 4096, (16, 16), np.uint16)
            Image.fromarray(grey).save(tmp_path / "cells" / kind / f"{i}.tif")
    experiment = folder_experiment(
        FolderSource(folder=tmp_path / "cells", size=16, white_level=4095)
    )
    files = (tmp_path / "cells").glob("*/*.tif")
    expected = {decode(path.read_bytes(), 1, white_level=4095).tobytes() for path in files}
    parts = (experiment.data.train.images, experiment.data.test.images)
    assert {image.tobytes() for part in parts for image in part} == expected
    assert experiment.info.white_level == 4095
    assert (
        folder_experiment(FolderSource(folder=tmp_path / "cells", size=16)).info.white_level is None
    )


def test_training_held_out_and_test_images_hold_each_class_in_its_proportion(make_folder):
    folder = make_folder({"stripes": 60, "rings": 30, "chequers": 10})
    experiment = folder_experiment(FolderSource(folder=folder), "C4")
    train, test = experiment.data.train.labels, experiment.data.test.labels
    held_out = train[-experiment.recipe.validation :]
    assert np.bincount(test).tolist() == [2, 6, 12]
    parts = np.array([0.1, 0.3, 0.6])
    assert np.abs(np.bincount(held_out, minlength=3) - len(held_out) * parts).max() <= 2
    assert len(held_out) == len(train) // 6


def test_colour_is_kept_only_where_there_is_some(make_folder):
    folder = make_folder({"stripes": 10, "rings": 10})
    assert survey(folder).channels == 1
    grey = folder / "rings" / "000.png"
    Image.open(grey).convert("RGB").save(grey)
    assert survey(folder).channels == 1
    Image.new("RGB", (5, 5), "red").save(grey)
    assert survey(folder).channels == 3


def test_hidden_files_and_notes_do_not_count(make_folder):
    folder = make_folder({"stripes": 10, "rings": 10})
    before = survey(folder).files
    (folder / ".cache").mkdir()
    (folder / "README.md").write_text("mine")
    (folder / "rings" / ".000.png").write_bytes(b"")
    (folder / "rings" / "notes.txt").write_text("mine")
    assert survey(folder).files == before


def refusal(folder):
    with pytest.raises(ValueError) as error:
        survey(folder)
    sentence = str(error.value)
    assert sentence.endswith(".")
    assert "\n" not in sentence
    return sentence


def test_a_missing_folder_is_refused(tmp_path):
    assert "There is no folder" in refusal(tmp_path / "nowhere")


def test_a_folder_without_sub_folders_is_refused(tmp_path):
    (tmp_path / "a.png").write_bytes(b"")
    assert "has no sub-folders" in refusal(tmp_path)


def test_one_class_only_is_refused(make_folder):
    assert "one class only, 'rings'" in refusal(make_folder({"rings": 12}))


def test_classes_with_too_few_images_are_named(make_folder):
    folder = make_folder({"rings": LEAST, "stripes": LEAST - 1, "chequers": 0})
    sentence = refusal(folder)
    assert "'stripes' has 9" in sentence
    assert "'chequers' has 0" in sentence
    assert "rings" not in sentence
    assert "10 or more" in sentence
    for i in range(LEAST):
        for kind in ("stripes", "chequers"):
            Image.new("L", (4, 4)).save(folder / kind / f"new{i}.png")
    assert len(survey(folder).classes) == 3


def test_all_unreadable_files_are_named(make_folder):
    folder = make_folder({"rings": 15, "stripes": 10})
    (folder / "rings" / "000.png").write_bytes(b"no picture")
    assert "A file of" in refusal(folder)
    assert "rings/000.png (unknown format)" in refusal(folder)
    (folder / "rings" / "001.png").write_bytes(b"")
    whole = (folder / "rings" / "002.png").read_bytes()
    (folder / "rings" / "002.png").write_bytes(whole[: len(whole) // 2])
    for i in (3, 4):
        (folder / "rings" / f"00{i}.png").write_bytes(b"")
    sentence = refusal(folder)
    assert "5 files of" in sentence
    assert "000.png" in sentence
    assert "001.png (empty)" in sentence
    assert "002.png (broken)" in sentence
    assert "003.png (empty)" in sentence
    assert "004.png (empty)" in sentence
    assert "--skip-unreadable" in sentence


@pytest.mark.parametrize(
    ("group", "size", "sentence"),
    [("C3", None, "3 without mirroring"), ("D4", 7, "8 pixels or more"), ("C8", 80, "79 and 81")],
)
def test_what_cannot_be_designed_is_refused_in_one_sentence(make_folder, group, size, sentence):
    folder = make_folder({"rings": 10, "stripes": 10})
    with pytest.raises(ValueError, match=sentence):
        folder_experiment(FolderSource(folder=folder, size=size), group)


def test_a_recipe_that_cannot_be_is_refused(make_folder):
    experiment = folder_experiment(
        FolderSource(folder=make_folder({"rings": 10, "stripes": 10})), "C4"
    )
    with pytest.raises(ValueError, match="held-out images"):
        experiment.with_recipe({"validation": 0})
    with pytest.raises(ValueError, match="16 images cannot be held out of 16"):
        experiment.with_recipe({"validation": 16})


@pytest.mark.slow
def test_the_command_trains_a_folder_or_leaves_nothing(make_folder, tmp_path, monkeypatch, capsys):
    folder, runs = make_folder({"rings": 12, "stripes": 12}), tmp_path / "runs"

    def command(*options):
        arguments = ["orbitserve", "train", str(folder), "--runs", str(runs), *options]
        monkeypatch.setattr("sys.argv", arguments)
        with pytest.raises(SystemExit) as end:
            orbitserve.main()
        return end.value.code or 0, capsys.readouterr()

    (folder / "rings" / "bad.png").write_bytes(b"no picture")
    status, printed = command()
    assert status == 3
    assert printed.out == ""
    assert "bad.png" in printed.err
    assert not runs.exists()

    (folder / "rings" / "bad.png").unlink()
    status, printed = command("--epochs", "2", "--group", "C4", "--size", "12", "--fit", "crop")
    assert status == 0
    assert printed.out.startswith(f"{runs / 'own-images'}: ")
    spec = Run.open(runs / "own-images").info.network
    assert (spec.group, spec.size) == ("C4", 12)

    status, printed = command("--epochs", "2")
    assert status == 3
    assert "--resume" in printed.err
