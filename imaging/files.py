"""Reading a file of which nothing is known: only a regular one, and only so many bytes of it."""

import os
import stat
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, Final

from imaging.formats.accepted import IMAGE_SUFFIXES
from imaging.refusal import RefusedError

MEBIBYTE: Final = 2**20

MOST_IMAGE: Final = 2**29
"""Bytes of an image file; 2^26 pixels of RGBA at 16 bits have as many, uncompressed."""

MOST_TEXT: Final = 16 * MEBIBYTE
"""Bytes of a file that a person or a small program wrote."""

_MOST_WAYS: Final = 100
"""Ways by links into one folder: folders that link to one another have more than can be gone."""

_KINDS: Final = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)

_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class FileRefusedError(RefusedError):
    """A file is not read; the message goes on after its name, and ends without a full stop."""


@contextmanager
def open_file(path: Path, most: int) -> Iterator[BinaryIO]:
    """Open a regular file of at most so many bytes, never waiting for anybody to write it.

    Symbolic links are followed, as mounted volumes are full of them: what was opened counts.

    Raises
    ------
    FileRefusedError
        Saying what is there instead, how large it is, or why it cannot be read.
    """
    try:
        # Opening alone may do something to a device, so it is looked at before and after.
        _check(path.stat(), most)
        file = os.fdopen(os.open(path, _FLAGS), "rb")
    except OSError as error:
        raise _unreadable(error) from error
    except FileRefusedError:
        raise
    except ValueError as error:  # a zero byte in its name
        raise FileRefusedError("has a name that no file can have") from error
    with file:
        _check(os.fstat(file.fileno()), most)
        yield file


def read_file(path: Path, most: int) -> bytes:
    """Read a file as `open_file` opens it, all of it."""
    with open_file(path, most) as file:
        size = os.fstat(file.fileno()).st_size
        try:
            data: bytes | None = file.read(size + 1)
        except OSError as error:
            raise _unreadable(error) from error
    # As in /proc, or while somebody writes; None is read where one would wait for the first byte.
    if data is None or len(data) != size:
        raise FileRefusedError("has another size than it says; a file at rest is accepted")
    return data


def read_named(path: Path, most: int) -> bytes:
    """Read a file that a user names; what is refused is a whole sentence, a `RefusedError`."""
    try:
        return read_file(path, most)
    except FileRefusedError as error:
        raise RefusedError(f"{path} {error}.") from error


def in_utf8(name: str) -> str:
    """Write a name or a path so that any file can hold it: bytes that are no UTF-8 as `\\xff`."""
    return name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")


def image_paths(folder: Path) -> Iterator[Path]:
    """Yield the image files below a folder, as `paths_below` does.

    What has the name of an image and is none, as a link to nothing, is told by whoever reads it.
    """
    yield from paths_below(folder, IMAGE_SUFFIXES)


def paths_below(folder: Path, suffixes: Collection[str]) -> Iterator[Path]:
    """Yield the files below a folder whose names end so, as paths from there.

    Hidden files and folders do not count. Links to folders are followed, but for those that lead
    back to where they lie.

    Parameters
    ----------
    suffixes
        In small letters; those of the names may be in any.

    Raises
    ------
    OSError
        If a folder cannot be read.
    RefusedError
        If links lead into one folder in more ways than anybody means.
    """
    root = os.path.realpath(folder)
    left = [(Path(), root, frozenset(map(str, Path(root).parents)))]
    ways = Counter[str]()
    while left:
        inside, place, above = left.pop()
        if place in above:
            continue
        ways[place] += 1
        if ways[place] > _MOST_WAYS:
            raise RefusedError(
                f"Links below {folder} lead into {place} in more than {_MOST_WAYS} ways, as where "
                "folders link to one another; fewer are accepted."
            )
        around = above | {place}
        for name in os.listdir(folder / inside):  # noqa: PTH208 -- names, which may be no UTF-8
            path = inside / name
            if name.startswith("."):
                continue
            if os.path.isdir(folder / path):  # noqa: PTH112 -- Path's raises for some links
                left.append((path, _real_place(place, name), around))
            elif path.suffix.lower() in suffixes:
                yield path


def _real_place(parent: str, name: str) -> str:
    """Where a folder lies whose parent lies there: `realpath` looks at all above, and is slow."""
    path = Path(parent, name)
    return os.path.realpath(path) if path.is_symlink() else str(path)


def _unreadable(error: OSError) -> FileRefusedError:
    return FileRefusedError(f"cannot be read: {error.strerror}")


def _check(found: os.stat_result, most: int) -> None:
    if not stat.S_ISREG(found.st_mode):
        kind = next((name for is_kind, name in _KINDS if is_kind(found.st_mode)), "no regular file")
        raise FileRefusedError(f"is {kind}; a regular file is accepted")
    if found.st_size > most:
        raise FileRefusedError(f"is too large; at most {most / MEBIBYTE:,.0f} MiB are accepted")
