"""Pictures that several processes decode are those that one decodes, whatever ends a process."""

import os
import signal

import numpy as np
import pytest
from PIL import Image

from imaging import FitPolicy
from imaging.refusal import RefusedError
from models.datasets import workers
from models.datasets.folder import survey
from models.datasets.folder_source import FolderSource
from models.datasets.own_images import OwnImages
from models.datasets.workers import Looking, Unreadable, each


class EndsItsProcess(Looking):
    """Decodes as `Looking` does, until a file of this name comes."""

    def __call__(self, path):
        if path.stem == "fatal":
            os.kill(os.getpid(), signal.SIGKILL)
        return super().__call__(path)


@pytest.fixture
def several(monkeypatch):
    """Start processes for few files too."""
    monkeypatch.setattr(workers, "FILES_A_PROCESS", 1)


@pytest.fixture
def folder(tmp_path):
    random = np.random.default_rng(0)
    for kind in ("a", "b"):
        (tmp_path / kind).mkdir()
        for i in range(10):
            pixels = random.integers(0, 256, (*random.integers(5, 9, 2), 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / kind / f"{i}.jpg")
    return tmp_path


def test_few_files_start_no_process(folder, monkeypatch):
    monkeypatch.setattr(workers, "ProcessPool", None)
    assert len(survey(folder, processes=8).files) == 20


@pytest.mark.slow
@pytest.mark.usefixtures("several")
def test_several_processes_read_what_one_does_and_name_what_none_can(folder):
    source = FolderSource(folder=folder)
    several, one = (OwnImages.survey(source, processes=count) for count in (2, 1))
    found, alone = several.found, one.found
    assert found == alone
    policy = FitPolicy(6, "pad")
    assert several.read(policy).sha256 == one.read(policy).sha256
    found.files[3].write_bytes(b"no picture")
    with pytest.raises(RefusedError, match=rf"^{found.files[3]} cannot .*: unknown format\.$"):
        several.read(policy)
    # A process that ends takes nothing along but the file that it was about.
    fatal = folder / "a" / "fatal.jpg"
    fatal.write_bytes(b"")
    files = [*found.files[:3], fatal, *found.files[4:]]
    looks = list(each(EndsItsProcess(None), files, 2))
    assert looks[3] == Unreadable("it ends the process that decodes it, with status -9")
    assert [look.size for look in looks[:3] + looks[4:]] == [*alone.sizes[:3], *alone.sizes[4:]]


class _Broken:
    def __init__(self, *_, **__):
        pass

    def schedule(self, *_, **__):
        raise workers.BrokenProcessPool

    def stop(self):
        pass

    join = stop


@pytest.mark.usefixtures("several")
def test_processes_that_cannot_be_started_are_told_in_one_sentence(folder, monkeypatch):
    monkeypatch.setattr(workers, "ProcessPool", _Broken)
    monkeypatch.setattr(workers, "start_fork_server", lambda: None)
    with pytest.raises(RefusedError, match=r"cannot be started.*--workers 1[^\n]*\.$"):
        survey(folder, processes=2)
