"""`orbitserve export`: what it reads the images of a folder by."""

import os
from pathlib import Path

import pytest

from artifact.card import load_card
from audit import RefusedError
from commands.export import export
from export.package import package
from models.checkpoint import Run
from models.datasets.folder_source import FolderSource
from models.experiment import data_set_of

pytestmark = pytest.mark.slow


def test_images_are_read_by_the_channels_and_the_white_level_on_the_card(packaged, monkeypatch):
    asked = []

    def read_again(source):
        asked.append(source)
        raise RefusedError("Enough is seen.")

    monkeypatch.setattr("models.trainer.read_again", read_again)
    with pytest.raises(RefusedError, match="Enough"):
        export("toy", "int8", repository=packaged, images=Path("cells"))
    read = FolderSource(folder=Path("cells"), size=12, channels=1, white_level=4095)
    assert asked == [read]


@pytest.mark.parametrize("data_set", ["rotated MNIST", "ELPV", "ELPV, split by modules"])
def test_a_network_that_was_given_another_name_keeps_its_data(
    finished_run, tmp_path, monkeypatch, data_set
):
    package(finished_run("C4", data_set=data_set), tmp_path / "repository", "toy")
    asked = []

    def read(network, folder):
        asked.append((data_set_of(network), folder))
        raise RefusedError("Enough is seen.")

    monkeypatch.setattr("models.experiment.named_experiment", read)
    with pytest.raises(RefusedError, match="Enough"):
        export("toy", "int8", repository=tmp_path / "repository", folder=Path("here"))
    assert asked == [(data_set, Path("here"))]


def test_what_was_not_trained_here_has_no_images_to_name(repository):
    card = repository / "toy/1/card.json"
    card.write_text(load_card(card).model_copy(update={"training": None}).model_dump_json())
    with pytest.raises(RefusedError, match="toy/1 was not trained by orbitserve"):
        export("toy", "int8", repository=repository)


@pytest.mark.timeout(60)
@pytest.mark.parametrize("make", [os.mkfifo, lambda path: path.symlink_to("/dev/zero"), Path.mkdir])
@pytest.mark.parametrize(
    "name",
    ["run.json", "weights.safetensors", "result.json", "audit.npz", "checkpoint.pt"],
)
def test_a_run_of_such_files_is_refused(finished_run, name, make):
    folder = finished_run("C4").folder
    (folder / name).unlink(missing_ok=True)
    make(folder / name)
    with pytest.raises(RefusedError, match=f"{name} .*a regular file is accepted"):
        read_all(folder)


@pytest.mark.parametrize(
    "name",
    ["run.json", "weights.safetensors", "result.json", "audit.npz", "checkpoint.pt"],
)
def test_a_run_of_damaged_files_is_refused(finished_run, name):
    folder = finished_run("C4").folder
    (folder / name).write_bytes(b"\xff\x00\xfe" * 100)
    with pytest.raises(RefusedError, match=name):
        read_all(folder)


def read_all(folder):
    run = Run.open(folder)
    run.network()
    run.weights_sha256()
    run.result()
    run.audit_set()
    run.training()
