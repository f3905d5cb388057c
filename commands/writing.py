"""Files that a command writes."""

import os
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from artifact.layout import CARD_FILE, MODEL_FILE
from imaging import IMAGE_SUFFIXES, RefusedError
from imaging.writing import write_aside

Read = Path | str | None
"""What an option names that is read: a file, a folder, a URL, or nothing."""


def check_writable(path: Path) -> None:
    """Refuse a file that cannot be written, before there is anything to write.

    Raises
    ------
    RefusedError
        If its folder is not there or cannot be written to, or what is there is no regular file, or
        may not be written.
    """
    there = path.exists()
    if not os.access(path.parent, os.W_OK) or (there and not os.access(path, os.W_OK)):
        raise RefusedError(
            f"The file {path} cannot be written; one in a folder that can be is accepted."
        )
    if there and not path.is_file():
        raise RefusedError(f"The file {path} is no regular one; one is accepted.")


def check_apart(outputs: Sequence[Path], read: Iterable[Read]) -> None:
    """Refuse an output that would take the place of something else that the command is told.

    That is what it reads, a file of a model's version, which never changes, or another output.

    Parameters
    ----------
    read
        Of a folder, the images that lie in it count, however deep.

    Raises
    ------
    RefusedError
        If it would, with its name.
    """
    sources, written = [*_places(read)], set[Path]()
    for path in outputs:
        place = _place(path)
        if place in written:
            raise RefusedError(f"The file {path} is named twice as an output; once is accepted.")
        written.add(place)
        if any(_is_read(place, source) for source in sources):
            raise RefusedError(
                f"The file {path} is read by this command, and would be written over; another name "
                "is accepted for what is written."
            )
        if all((place.parent / name).exists() for name in (MODEL_FILE, CARD_FILE)):
            raise RefusedError(
                f"The folder of {path} is that of a model's version, which never changes; another "
                "folder is accepted."
            )


def write_file(path: Path, data: bytes) -> None:
    """Write a file whole or not at all.

    Raises
    ------
    ValueError
        If it cannot be written.
    """
    try:
        write_aside(path, data)
    except OSError as error:
        raise RefusedError(f"The file {path} cannot be written: {error.strerror}.") from error


def _place(path: Path) -> Path:
    """Where a file gets its name: a link there is replaced, and not what it points to."""
    return Path(os.path.realpath(path.parent), path.name)


def local_place(url: str) -> Path | None:
    """Where a URL of fsspec's lies on this machine; None if it lies elsewhere.

    Of a chain, as of a cache of a folder or a file in an archive, the last one counts.
    """
    from fsspec.implementations.local import LocalFileSystem  # which most commands do without

    last = url.rpartition("::")[2]
    protocol, given, _ = last.partition("://")
    if given and protocol not in LocalFileSystem.protocol:
        return None
    return Path(LocalFileSystem._strip_protocol(last))


def _places(read: Iterable[Read]) -> Iterator[Path]:
    for each in filter(None, map(str, filter(None, read))):
        place = local_place(each) if "://" in each else Path(each)
        if place is not None:
            yield from {_place(place), Path(os.path.realpath(place))}


def _is_read(place: Path, source: Path) -> bool:
    if place == source:
        return True
    an_image = place.suffix.lower() in IMAGE_SUFFIXES and place.exists()
    return an_image and source in place.parents
