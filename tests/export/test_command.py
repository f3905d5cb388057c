"""`orbitserve export`: what it reads the images of a folder by."""

import os
from pathlib import Path

import pytest

from audit import RefusedError
from commands.export import export
from models.checkpoint import Run
from models.datasets.folder_source import FolderSource

pytestmark = pytest.mark.slow


def test_images_are_read_by_the_white_level_on_the_card(packaged, monkeypatch):
    asked = []

    def read_again(source):
        asked.append(source)
        raise RefusedError("Enough is seen.")

    monkeypatch.setattr("models.trainer.read_again", read_again)
    with pytest.raises(RefusedError, match="Enough"):
        export("toy", "int8", repository=packaged, images=Path("cells"))
    assert asked == [FolderSource(folder=Path("cells"), size=12, white_level=4095)]


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
