"""Writing a file or a folder whole or not at all: aside, then put in its place."""

import os
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from tempfile import NamedTemporaryFile, TemporaryFile, gettempdir, mkdtemp
from typing import BinaryIO, Final, cast

from imaging.refusal import RefusedError

_PREFIX: Final = "."
_SUFFIX: Final = ".partial"
"""With the other one around the name of what is being written."""

_FOLDER_PREFIX: Final = ".orbitserve-"
"""Before it where that is a folder: it may lie among anybody's, and is known as ours by it."""

_LEFT: Final = 3600.0
"""Seconds after which nobody writes any more what has no name yet."""


@contextmanager
def written_aside(path: Path, *, mode: int = 0o644, new: bool = False) -> Iterator[BinaryIO]:
    """Open a file that stands at `path` once the block has ended, whole and on disk.

    If the block raises, or whoever runs it is ended, what was at `path` before is left as it was.

    Parameters
    ----------
    mode
        Who may read and write the file, as for `os.chmod`.
    new
        Replace nothing.

    Raises
    ------
    FileExistsError
        If the file is to be new and there is one.
    OSError
        If it cannot be written; it names the file.
    """
    with (
        naming(path),
        NamedTemporaryFile(dir=path.parent, prefix=_PREFIX, suffix=_SUFFIX, delete=False) as file,
    ):
        aside = Path(file.name)
        try:
            yield cast(BinaryIO, file)
            file.flush()
            os.fchmod(file.fileno(), mode)
            os.fsync(file.fileno())
            if new:
                os.link(aside, path)  # which, unlike renaming, replaces nothing
                aside.unlink()
            else:
                aside.replace(path)
        except BaseException:
            aside.unlink(missing_ok=True)
            raise
    _sync(path.parent)


def write_aside(path: Path, data: bytes, *, mode: int = 0o644, new: bool = False) -> None:
    """Write a file as `written_aside` does."""
    with written_aside(path, mode=mode, new=new) as file:
        file.write(data)


@contextmanager
def temporary_file() -> Iterator[BinaryIO]:
    """Open a file without a name, in the folder that TMPDIR names, for what memory may not hold.

    Raises
    ------
    OSError
        If it cannot be written; it names that folder.
    """
    with naming(Path(gettempdir())), TemporaryFile() as file:
        yield cast(BinaryIO, file)


def remove_left_aside(folder: Path) -> None:
    """Remove what writers left in a folder that were killed, an hour ago or more.

    What cannot be removed stays, as on a file system that is only read.
    """
    for file in folder.glob(f"{_PREFIX}*{_SUFFIX}"):
        with suppress(OSError):
            if time.time() - file.lstat().st_mtime > _LEFT:
                file.unlink()


@contextmanager
def written_folder(path: Path) -> Iterator[Path]:
    """Make a folder that stands at `path` once the block has ended, whole and on disk.

    All may read it, and nobody but its owner write, whatever the process masks for its files: it,
    and those above it that are made for it. If the block raises, nothing of it is left. What was
    left beside it by a writer that was killed, an hour ago or more, is removed.

    Raises
    ------
    OSError
        If it cannot be written, or there is a folder that is not empty; it names the folder.
    """
    parent = path.parent
    made = _make_folders(parent)
    _remove_left_folders(parent)
    with naming(path):
        aside = Path(mkdtemp(prefix=_FOLDER_PREFIX, suffix=_SUFFIX, dir=parent))
        try:
            yield aside
            for each in (*aside.rglob("*"), aside):
                each.chmod(0o755 if each.is_dir() else 0o644)
                _sync(each)
            aside.rename(path)
        except BaseException:
            shutil.rmtree(aside, ignore_errors=True)
            raise
    _sync(parent)
    for each in made:
        _sync(each.parent)


def check_folder(folder: Path, option: str) -> None:
    """Refuse a folder in which nothing can be written, before there is anything to write.

    Parameters
    ----------
    option
        Which names another one.

    Raises
    ------
    RefusedError
        If it, or what it would have to be made in, is no folder that may be written.
    """
    places = (folder, *folder.absolute().parents)
    there = next(place for place in places if os.path.lexists(place))
    if not there.is_dir() or not os.access(there, os.W_OK | os.X_OK):
        raise RefusedError(
            f"The folder {folder} cannot be written, as {there} is no folder that may be; "
            f"{option} names another."
        )


def _make_folders(folder: Path) -> list[Path]:
    """Make a folder, with those above it; return the new ones, the last of which are above."""
    new = [each for each in (folder, *folder.parents) if not each.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    for each in new:
        each.chmod(0o755)
    return new


def _remove_left_folders(parent: Path) -> None:
    for folder in parent.glob(f"{_FOLDER_PREFIX}*{_SUFFIX}"):
        with suppress(OSError):
            latest = max(each.lstat().st_mtime for each in (folder, *folder.rglob("*")))
            if time.time() - latest > _LEFT:
                # Its writer may live, where clocks differ or jump: it finds all of it gone, not
                # some of the files that it has just given their place.
                taken = f"{_FOLDER_PREFIX}{token_hex(8)}{_SUFFIX}"
                shutil.rmtree(folder.rename(folder.with_name(taken)))


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Have the system's refusals name what was to be written.

    Of a full disk they name nothing, and else what is written aside, which is gone afterwards.
    """
    try:
        yield
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
