"""Folders of runs that were killed are removed by the next one, and those of others stay."""

import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from bulk.temporary import temporary_folder

KILLED = """
import os, signal, sys
from pathlib import Path
from bulk.temporary import temporary_folder
with temporary_folder(Path(sys.argv[1])) as folder:
    (folder / "images").write_bytes(b"many")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_run_left_is_removed_by_the_next(tmp_path):
    subprocess.run([sys.executable, "-c", KILLED, str(tmp_path)], check=False)
    (left,) = tmp_path.iterdir()
    assert (left / "images").exists()
    with temporary_folder(tmp_path) as folder:
        assert [*tmp_path.iterdir()] == [folder]
    assert not [*tmp_path.iterdir()]


def test_a_run_that_lives_keeps_its_own(tmp_path):
    with temporary_folder(tmp_path) as first:
        os.utime(first / "lock", (0, 0))
        with temporary_folder(tmp_path) as second:
            assert sorted(tmp_path.iterdir()) == sorted((first, second))
        assert [*tmp_path.iterdir()] == [first]


@pytest.mark.parametrize("what", ["another machine", "another user", "a link", "no lock"])
def test_what_may_be_of_somebody_else_stays(tmp_path, what):
    place, folder = tmp_path / "place", tmp_path / "place" / "orbitserve-1"
    place.mkdir()
    if what == "a link":
        (tmp_path / "mine").mkdir()
        folder.symlink_to(tmp_path / "mine")
    else:
        folder.mkdir()
    lock = folder / ("lock" if what != "no lock" else ".lock")
    lock.write_text("elsewhere" if what == "another machine" else platform.node())
    if what == "another user":
        if os.geteuid() != 0:
            pytest.skip("only root can give a folder away")
        os.chown(folder, 12345, -1)
    with temporary_folder(place):
        pass
    assert lock.exists()


def test_where_there_are_no_locks_nothing_is_removed(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError

    monkeypatch.setattr("bulk.temporary.flock", refuse)
    with temporary_folder(tmp_path) as first, temporary_folder(Path(tmp_path)):
        assert first.exists()
    assert not first.exists()
