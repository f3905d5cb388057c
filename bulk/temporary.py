"""Folders for as long as a run takes; what one was killed in, a later run removes."""

import os
import platform
import shutil
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from fcntl import LOCK_EX, LOCK_NB, flock
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Final

_PREFIX: Final = "orbitserve-"
"""Short, as names of sockets below it may be."""

_LOCK: Final = "lock"
"""A file in it with the name of the machine, which is locked as long as the run lives."""


@contextmanager
def temporary_folder(parent: Path | None = None) -> Iterator[Path]:
    """Make a folder, by default in the system's for what is temporary, and remove it in the end.

    Those beside it of runs on this machine that were killed are removed first.

    Raises
    ------
    OSError
        If it cannot be made.
    """
    place = Path(gettempdir()) if parent is None else parent
    for lock in place.glob(f"{_PREFIX}*/{_LOCK}"):
        with suppress(OSError):  # of a run that lives, or of somebody else
            _remove_left(lock)
    made = TemporaryDirectory(prefix=_PREFIX, dir=place, ignore_cleanup_errors=True)
    with made as path, _locked(Path(path)):
        yield Path(path)


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a folder's lock, which has its name once it is held; without locks it gets none."""
    aside = folder / f".{_LOCK}"
    with aside.open("w") as file:
        with suppress(OSError):
            flock(file, LOCK_EX | LOCK_NB)
            file.write(platform.node())
            file.flush()
            aside.rename(folder / _LOCK)
        yield


def _remove_left(lock: Path) -> None:
    found = lock.parent.lstat()
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.geteuid():
        return
    with lock.open("r+") as file:
        flock(file, LOCK_EX | LOCK_NB)
        # Not every file system that machines share tells one of the locks of another.
        if file.read() == platform.node():
            shutil.rmtree(lock.parent)
