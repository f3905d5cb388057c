"""Where images in bulk are found: files, folders, Parquet files, here or wherever fsspec reads."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import fsspec
from fsspec import AbstractFileSystem
from fsspec.implementations.local import LocalFileSystem

from bulk.failures import reason
from bulk.pieces import Files, Piece, Rows, is_url, names_in, open_object, row_name
from imaging import IMAGE_SUFFIXES, RefusedError
from imaging.files import in_utf8, paths_below
from service.decoding.files import ImageFile, find_image_files

TABLE: Final = ".parquet"

_CHAIN: Final = "::"
_MOST: Final = 300
_IMAGE: Final = "image"
_LABEL: Final = "label"


@dataclass(frozen=True)
class Columns:
    """Which columns of a table are meant; None takes what is there and what can be no other.

    Attributes
    ----------
    image
        Has the bytes of an image file in each row.
    label
        Has what the image shows, a class or its number.
    """

    image: str | None = None
    label: str | None = None


_ANY: Final = Columns()

Skip = frozenset[int]
"""Numbers of images that are left out."""


@dataclass(frozen=True)
class Listed:
    """Files of an image each, in a fixed order.

    Attributes
    ----------
    paths
        Where they are: in the file system of fsspec's, or here where there is none.
    files
        What they are called, and the sub-folders that they lie in.
    """

    paths: tuple[str, ...]
    files: tuple[ImageFile, ...]
    system: AbstractFileSystem | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def names(self) -> Iterator[str]:
        """Yield where each image is."""
        return names_in(self.system, self.paths)

    def pieces(self, first: int, size: int, skip: Skip) -> Iterator[Piece]:
        """Yield pieces of at most so many images, without those of some numbers in this part."""
        left = [path for number, path in enumerate(self.paths) if number not in skip]
        for start in range(0, len(left), size):
            yield Files(first + start, tuple(left[start : start + size]), self.system)


@dataclass(frozen=True)
class Table:
    """A Parquet file.

    Attributes
    ----------
    groups
        How many rows each of its groups has.
    column
        The one of images.
    labels
        What its rows show, where a column says it.
    """

    url: str
    groups: tuple[int, ...]
    column: str
    labels: tuple[Any, ...] | None = None

    def __len__(self) -> int:
        return sum(self.groups)

    def names(self) -> Iterator[str]:
        """Yield where each image is."""
        return (row_name(self.url, row) for row in range(len(self)))

    def pieces(self, first: int, size: int, skip: Skip) -> Iterator[Piece]:
        """Yield pieces of at most so many images, without some rows."""
        row = 0
        for group, rows in enumerate(self.groups):
            for start in range(0, rows, size):
                count = min(size, rows - start)
                here = range(row + start, row + start + count)
                without = frozenset(skip.intersection(here))
                piece = Rows(
                    first, self.url, self.column, group, start, row + start, count, without
                )
                if len(piece):
                    yield piece
                    first += len(piece)
            row += rows


@dataclass(frozen=True)
class Source:
    """All images of a run, in a fixed order."""

    parts: tuple[Listed | Table, ...]

    def __len__(self) -> int:
        return sum(map(len, self.parts))

    @property
    def tables(self) -> tuple[Table, ...]:
        """Those that are Parquet files."""
        return tuple(part for part in self.parts if isinstance(part, Table))

    def names(self) -> Iterator[str]:
        """Yield where each image is."""
        for part in self.parts:
            yield from part.names()

    def files(self) -> Iterator[ImageFile]:
        """Yield what each image is called in a report."""
        for part in self.parts:
            if isinstance(part, Listed):
                yield from part.files
            else:
                yield from (ImageFile(Path(name), in_utf8(name)) for name in part.names())

    def pieces(self, size: int, skip: Skip = frozenset()) -> Iterator[Piece]:
        """Yield pieces of at most so many images, without some that are told by their numbers."""
        first = before = 0
        for part in self.parts:
            inside = frozenset(each - before for each in skip if 0 <= each - before < len(part))
            for piece in part.pieces(first, size, inside):
                yield piece
                first = piece.first + len(piece)
            before += len(part)


def is_bulk(place: str) -> bool:
    """Whether a place is none that commands read without a word of Parquet or URLs."""
    return is_url(place) or place.lower().endswith(TABLE)


def find_source(places: Sequence[str], columns: Columns = _ANY) -> Source:
    """Find images: named files, those below named folders, and rows of Parquet files.

    A folder is one of images; if there are none, of the Parquet files that are in it.

    Raises
    ------
    RefusedError
        If a place does not exist or cannot be read, there is no image anywhere, or a table has no
        column of images.
    """
    parts = [part for place in places for part in _found(place, columns, alone=len(places) == 1)]
    if not sum(map(len, parts)):
        raise RefusedError(
            f"There are no images in {', '.join(places)}; accepted are files ending in "
            f"{', '.join((*IMAGE_SUFFIXES, TABLE))}, and folders of them."
        )
    return Source(tuple(parts))


def _found(place: str, columns: Columns, *, alone: bool) -> Iterator[Listed | Table]:
    if place.lower().endswith(TABLE) and (is_url(place) or not Path(place).is_dir()):
        yield read_table(place, columns)
    elif is_url(place):
        yield from _below_url(place, columns, alone=alone)
    else:
        yield from _below_path(Path(place), columns, alone=alone)


def _below_path(place: Path, columns: Columns, *, alone: bool) -> Iterator[Listed | Table]:
    try:
        files = find_image_files([place])
    except RefusedError as refused:
        try:
            tables = sorted(paths_below(place, (TABLE,))) if place.is_dir() else []
        except OSError:  # which is what was refused
            raise refused from None
        if not tables:
            raise
        yield from (read_table(str(place / each), columns) for each in tables)
        return
    if place.is_dir() and not alone:
        files = [ImageFile(f.path, in_utf8(f.path.as_posix()), f.folder) for f in files]
    yield Listed(tuple(str(file.path) for file in files), tuple(files))


def _below_url(url: str, columns: Columns, *, alone: bool) -> Iterator[Listed | Table]:
    try:
        system, root = fsspec.core.url_to_fs(url)
        folder = system.isdir(root)
        found = sorted(_find(system, root)) if folder else [root]
        if not folder and not system.exists(root):
            raise RefusedError(f"There is no {url}.")
    except RefusedError:
        raise
    except Exception as error:  # file systems share no base class of theirs
        raise RefusedError(f"{url} cannot be read: {reason(error)}.") from error
    below = {path: PurePosixPath(path.removeprefix(root).lstrip("/")) for path in found}
    shown = [path for path in found if not _hidden(below[path].parts)]
    images = [p for p in shown if not folder or PurePosixPath(p).suffix.lower() in IMAGE_SUFFIXES]
    if images:
        images.sort(key=lambda path: below[path].parts)
        yield Listed(
            tuple(images),
            tuple(
                _file(name, below[path], alone and folder)
                for name, path in zip(names_in(system, images), images, strict=True)
            ),
            system,
        )
        return
    for table in names_in(system, [path for path in shown if path.lower().endswith(TABLE)]):
        if _CHAIN in table:
            raise RefusedError(
                f"The table {table} has {_CHAIN} in its name, which separates the parts of a URL; "
                "another name is accepted."
            )
        yield read_table(table, columns)


def _find(system: AbstractFileSystem, root: str) -> list[str]:
    if isinstance(system, LocalFileSystem):  # whose own `find` leaves linked folders out
        below = paths_below(Path(root), (*IMAGE_SUFFIXES, TABLE))
        return [str(Path(root, path)) for path in below]
    return [*map(str, system.find(root))]


def _file(url: str, below: PurePosixPath, alone: bool) -> ImageFile:
    folder = in_utf8(below.parts[0]) if len(below.parts) > 1 else None
    return ImageFile(Path(url), in_utf8(str(below) if alone else url), folder)


def _hidden(parts: Sequence[str]) -> bool:
    return any(part.startswith(".") for part in parts)


def read_table(url: str, columns: Columns) -> Table:
    """Read what a Parquet file says of itself, and its labels.

    Raises
    ------
    RefusedError
        If it cannot be read, or has no column of images.
    """
    from pyarrow import ArrowException
    from pyarrow.parquet import ParquetFile

    try:
        with open_object(url) as file:
            found = ParquetFile(file)
            groups = found.metadata
            sizes = tuple(groups.row_group(i).num_rows for i in range(groups.num_row_groups))
            image, label = _image_column(url, found.schema_arrow, columns), None
            if (named := columns.label or _LABEL) in found.schema_arrow.names:
                label = tuple(found.read(columns=[named]).column(0).to_pylist())
                if names := class_names(found.schema_arrow.metadata or {}, named):
                    label = tuple(_named(names, value) for value in label)
    except RefusedError:
        raise
    except (ArrowException, OSError, ValueError, ImportError) as error:
        raise RefusedError(f"The table {url} cannot be read: {reason(error)}.") from error
    if label is None and columns.label is not None:
        raise RefusedError(
            f"The table {url} has no column {columns.label!r}; its columns are "
            f"{', '.join(found.schema_arrow.names)}."
        )
    return Table(url, sizes, image, label)


def class_names(metadata: Mapping[bytes, bytes], column: str) -> tuple[str, ...]:
    """The names that the numbers of a column stand for, where the `datasets` package wrote it.

    They are those of the data, whose order need not be that of a model's classes.
    """
    try:
        feature = json.loads(metadata[b"huggingface"])["info"]["features"][column]
        names = feature["names"] if feature["_type"] == "ClassLabel" else ()
    except (KeyError, TypeError, ValueError, RecursionError):  # of another program, or without
        return ()
    return tuple(names) if isinstance(names, list) and all(map(_is_text, names)) else ()


def _is_text(value: object) -> bool:
    return isinstance(value, str)


def _named(names: Sequence[str], value: Any) -> Any:
    """A label's name, None where it has none, as -1; what is no number stays as it is."""
    if not isinstance(value, int):
        return value
    return names[value] if 0 <= value < len(names) else None


def _image_column(url: str, schema: Any, columns: Columns) -> str:
    fit = [field.name for field in schema if _holds_images(field.type)]
    named = columns.image
    if named is None:
        named = _IMAGE if _IMAGE in fit else fit[0] if len(fit) == 1 else None
    if named in fit:
        return str(named)
    what = (
        "has several columns of bytes"
        if named is None and fit
        else ("has no column of images" if named is None else f"has no column {named!r} of images")
    )
    there = ", ".join(f"{field.name} ({field.type})" for field in schema)
    raise RefusedError(
        f"The table {url} {what}, and the bytes of an image file in each row of one, which "
        f"--image-column names, are accepted; its columns are {there[:_MOST]}."
    )


def _holds_images(kind: Any) -> bool:
    """Whether a column's type is bytes, or what the `datasets` package makes of images."""
    from pyarrow import types

    if types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0 and _holds_images(kind.field("bytes").type)
    return bool(types.is_binary(kind) or types.is_large_binary(kind))
