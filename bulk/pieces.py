"""What one worker is given at a time: some images, named so that any machine can read them."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final, Protocol

import fsspec
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from bulk.failures import reason
from imaging.files import MOST_IMAGE, FileRefusedError, read_file

_PARTS: Final = 32
"""Into how many pieces one is cut that ended its worker."""

_READ: Final = 256
"""Rows of a table that are held at once."""

Load = Callable[[], bytes | str]
"""Reads one image, on whichever thread; what it returns as a text is why there is none."""


class Piece(Protocol):
    """Some images, one behind the other."""

    @property
    def first(self) -> int:
        """The number of the first one."""

    def __len__(self) -> int:
        """How many images it has."""

    def names(self) -> Iterator[str]:
        """Yield where each image is."""

    def loads(self) -> Iterator[Load]:
        """Yield what reads each image."""

    def parts(self) -> Iterator["Piece"]:
        """Yield the same images in smaller pieces; itself alone if it has but one."""


@dataclass(frozen=True)
class Files:
    """Files of an image each.

    Attributes
    ----------
    paths
        Where they are in the file system of fsspec's, or here where there is none.
    """

    first: int
    paths: tuple[str, ...]
    system: AbstractFileSystem | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def names(self) -> Iterator[str]:
        """Yield paths, or the URLs that name them."""
        return names_in(self.system, self.paths)

    def loads(self) -> Iterator[Load]:
        """Yield what reads each file."""
        return (partial(read_object, path, self.system) for path in self.paths)

    def parts(self) -> Iterator["Files"]:
        """Yield smaller pieces."""
        for place in _cut(len(self)):
            yield Files(self.first + place.start, self.paths[place], self.system)


@dataclass(frozen=True)
class Rows:
    """Some rows of a group of a Parquet file, with an image in each.

    Attributes
    ----------
    column
        Which has the images.
    group, start
        The group of rows, and the first of them within it.
    row
        The number of that row in the file.
    count
        How many rows; those that `without` names are not read.
    """

    first: int
    url: str
    column: str
    group: int
    start: int
    row: int
    count: int
    without: frozenset[int] = frozenset()

    def __len__(self) -> int:
        return self.count - len(self.without)

    def names(self) -> Iterator[str]:
        """Yield the file and the row's number."""
        return (row_name(self.url, row) for row in self._rows())

    def loads(self) -> Iterator[Load]:
        """Yield what reads each row; they are read one after the other, as many as are held."""
        given = 0
        try:
            for value in self._values():
                yield partial(_content, value)
                given += 1
        except Exception as error:  # pyarrow and file systems share no base class of theirs
            why = f"The table cannot be read: {reason(error)}."
            for _ in range(len(self) - given):
                yield partial(_refused, why)

    def parts(self) -> Iterator["Rows"]:
        """Yield smaller pieces."""
        rows = list(self._rows())
        for place in _cut(len(rows)):
            some = rows[place]
            between = frozenset(range(some[0], some[-1] + 1)) - frozenset(some)
            yield replace(
                self,
                first=self.first + place.start,
                start=self.start + some[0] - self.row,
                row=some[0],
                count=some[-1] + 1 - some[0],
                without=between,
            )

    def _rows(self) -> Iterator[int]:
        every = range(self.row, self.row + self.count)
        return (row for row in every if row not in self.without)

    def _values(self) -> Iterator[Any]:
        from pyarrow.parquet import ParquetFile

        wanted = frozenset(row - self.row + self.start for row in self._rows())
        place, last = 0, max(wanted, default=-1)
        with open_object(self.url) as file:
            found = ParquetFile(file, buffer_size=2**20)
            for batch in found.iter_batches(_READ, row_groups=[self.group], columns=[self.column]):
                for within in sorted(wanted.intersection(range(place, place + len(batch)))):
                    yield batch.column(0)[within - place].as_py()
                place += len(batch)
                if place > last:
                    return
        if place <= last:
            raise ValueError("it has fewer rows than it had")


def row_name(url: str, row: int) -> str:
    """What a row of a table is called."""
    return f"{url}#{row}"


def names_in(system: AbstractFileSystem | None, paths: Iterable[str]) -> Iterator[str]:
    """Yield what files in a file system are called: URLs, or paths where there is none."""
    return iter(paths) if system is None else map(system.unstrip_protocol, paths)


def read_object(path: str, system: AbstractFileSystem | None = None) -> bytes | str:
    """Read a file, or one of a file system; a text says why it cannot be read.

    A URL is no way there: one with `::` in it, as a name may have, is a chain of several.
    """
    if system is None or isinstance(system, LocalFileSystem):
        try:
            return read_file(Path(path), MOST_IMAGE)
        except FileRefusedError as error:
            return f"The file {error}."
    try:
        with system.open(path, "rb") as file:
            data: bytes = file.read(MOST_IMAGE + 1)
    except Exception as error:  # file systems share no base class of theirs
        return f"The object cannot be read: {reason(error)}."
    return data if len(data) <= MOST_IMAGE else "The object is too large."


@contextmanager
def open_object(url: str) -> Iterator[BinaryIO]:
    """Open a path or a URL to be read from anywhere in it."""
    with fsspec.open(url, "rb") if is_url(url) else Path(url).open("rb") as file:
        yield file


def is_url(place: str) -> bool:
    """Whether a place is a URL of fsspec's, and no path."""
    return "://" in place


def _content(value: Any) -> bytes | str:
    """The image of a cell: its bytes, or those of what the `datasets` package writes there."""
    if isinstance(value, dict):
        value = value.get("bytes")
    return value if isinstance(value, bytes) else "The table has no image in this row."


def _refused(why: str) -> str:
    return why


def _cut(count: int) -> Iterator[slice]:
    size = max(1, -(-count // _PARTS))
    return (slice(start, min(start + size, count)) for start in range(0, count, size))
