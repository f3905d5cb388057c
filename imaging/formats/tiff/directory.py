"""The directories of a TIFF: which tags each holds, and which of them is the picture."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

import numpy as np

from imaging.formats.errors import ImageError, broken, several_frames


class Tag(IntEnum):
    """The tags that are read, by the names of TIFF 6.0 and its supplements."""

    NEW_SUBFILE_TYPE = 254
    SUBFILE_TYPE = 255
    IMAGE_WIDTH = 256
    IMAGE_LENGTH = 257
    BITS_PER_SAMPLE = 258
    COMPRESSION = 259
    PHOTOMETRIC = 262
    FILL_ORDER = 266
    IMAGE_DESCRIPTION = 270
    STRIP_OFFSETS = 273
    ORIENTATION = 274
    SAMPLES_PER_PIXEL = 277
    ROWS_PER_STRIP = 278
    STRIP_BYTE_COUNTS = 279
    MAX_SAMPLE_VALUE = 281
    PLANAR_CONFIGURATION = 284
    T4_OPTIONS = 292
    T6_OPTIONS = 293
    PREDICTOR = 317
    COLOR_MAP = 320
    TILE_WIDTH = 322
    TILE_LENGTH = 323
    TILE_OFFSETS = 324
    TILE_BYTE_COUNTS = 325
    SUB_IFDS = 330
    INK_SET = 332
    EXTRA_SAMPLES = 338
    SAMPLE_FORMAT = 339
    S_MAX_SAMPLE_VALUE = 341
    JPEG_TABLES = 347
    YCBCR_COEFFICIENTS = 529
    YCBCR_SUBSAMPLING = 530
    REFERENCE_BLACK_WHITE = 532
    IMAGE_DEPTH = 32997
    DNG_VERSION = 50706


_WANTED: Final = frozenset(Tag)
# Letters of NumPy's types, by the numbers of TIFF's. Of fractions, the numerators are every other.
_TYPES: Final = {
    1: "u1", 2: "u1", 3: "u2", 4: "u4", 5: "u4", 6: "i1", 7: "u1", 8: "i2", 9: "i4", 10: "i4",
    11: "f4", 12: "f8", 13: "u4", 16: "u8", 17: "i8", 18: "u8",
}  # fmt: skip
_FRACTIONS: Final = (5, 10)
_BYTES: Final = (Tag.IMAGE_DESCRIPTION, Tag.JPEG_TABLES)

_REDUCED: Final = 1
_MASK: Final = 4
_PHOTOMETRIC_MASK: Final = 4
_OLD_REDUCED: Final = 2

_MOST_DIRECTORIES: Final = 128
_MOST_ENTRIES: Final = 4096
_MOST_VALUES: Final = 2**20
"""Of all tags together: several may lie in the same place of the file."""
_MOST_TABLES: Final = 2**12
"""Bytes that all tables of JPEG do not take; they stand before each tile."""


@dataclass(frozen=True)
class Directory:
    """One picture's tags, each a tuple of numbers, and the file's byte order as NumPy writes it."""

    order: str
    tags: dict[int, tuple[float, ...]]
    texts: dict[int, bytes]

    @property
    def values(self) -> int:
        """How many there are, those of texts left out."""
        return sum(map(len, self.tags.values()))

    def numbers(self, tag: Tag, default: tuple[int, ...] = ()) -> tuple[int, ...]:
        """The values of a tag as whole numbers."""
        found = self.tags.get(tag)
        return default if found is None else tuple(int(value) for value in found)

    def number(self, tag: Tag, default: int | None = None) -> int:
        """The only value of a tag.

        Raises
        ------
        ImageError
            If it is missing and there is no default.
        """
        found = self.tags.get(tag)
        if found:
            return int(found[0])
        if default is None:
            raise broken(f"the tag {tag.name} is missing")
        return default


def picture(data: bytes) -> Directory:
    """The one directory that is a picture; overviews and masks are passed over.

    Raises
    ------
    ImageError
        If there are several, or none, or if the directories are damaged.
    """
    only, found = None, None
    for count, directory in enumerate(_directories(data)):
        only = directory if count == 0 else None
        if _is_passed_over(directory):
            continue
        if found is not None:
            raise several_frames()
        found = directory
    if found is None and only is not None and Tag.SUB_IFDS not in only.tags:
        found = only
    if found is None:
        raise ImageError(
            "unknown-format",
            "The TIFF holds nothing but overviews and masks, or keeps its picture in a "
            "sub-directory; a picture in the chain of directories is accepted.",
        )
    return found


def _is_passed_over(directory: Directory) -> bool:
    return bool(
        directory.number(Tag.NEW_SUBFILE_TYPE, 0) & (_REDUCED | _MASK)
        or directory.number(Tag.SUBFILE_TYPE, 0) == _OLD_REDUCED
        or directory.number(Tag.PHOTOMETRIC, 0) == _PHOTOMETRIC_MASK
    )


@dataclass(frozen=True)
class _Shape:
    """How the two kinds of TIFF write a directory: `struct` codes, and their lengths in bytes."""

    count: str
    entry: str
    pointer: str
    inline: int


_CLASSIC: Final = _Shape("H", "HHI4s", "I", 4)
_BIG: Final = _Shape("Q", "HHQ8s", "Q", 8)


def _directories(data: bytes) -> Iterator[Directory]:
    order = "<" if data.startswith(b"II") else ">"
    version = int.from_bytes(data[2:4], "little" if order == "<" else "big")
    shape, first = (_CLASSIC, 4) if version == 42 else (_BIG, 8)
    seen: set[int] = set()
    left = _MOST_VALUES
    position = _unpack(order + shape.pointer, data, first)[0]
    while position:
        if position in seen or len(seen) == _MOST_DIRECTORIES:
            raise broken(f"its directories run in a circle, or are over {_MOST_DIRECTORIES}")
        seen.add(position)
        directory, position = _directory(data, position, order, shape, left)
        left -= directory.values
        yield directory
    if not seen:
        raise broken("it has no directory")


def _directory(
    data: bytes, position: int, order: str, shape: _Shape, most: int
) -> tuple[Directory, int]:
    """Read a directory of at most so many values, and where the next one is."""
    count = _unpack(order + shape.count, data, position)[0]
    if not 0 < count <= _MOST_ENTRIES:
        raise broken(f"a directory has {count} entries")
    position += struct.calcsize(order + shape.count)
    step = struct.calcsize(order + shape.entry)
    directory = Directory(order, {}, {})
    for entry in range(count):
        tag, kind, length, inline = _unpack(order + shape.entry, data, position + entry * step)
        if tag in _WANTED and tag not in directory.tags and tag not in directory.texts:
            _keep(directory, tag, kind, _value(data, kind, length, inline, order, shape))
            if directory.values > most:
                raise broken(f"its tags have more than {_MOST_VALUES} values")
    return directory, _unpack(order + shape.pointer, data, position + count * step)[0]


def _value(
    data: bytes, kind: int, count: int, inline: bytes, order: str, shape: _Shape
) -> bytes | memoryview:
    if kind not in _TYPES or count > _MOST_VALUES:
        raise broken(f"a tag has {count} values of type {kind}")
    size = count * int(_TYPES[kind][1]) * (2 if kind in _FRACTIONS else 1)
    if size <= shape.inline:
        return inline[:size]
    start = struct.unpack(order + shape.pointer, inline)[0]
    if start + size > len(data):
        raise broken("the values of a tag lie outside of the file")
    return memoryview(data)[start : start + size]


def _keep(directory: Directory, tag: int, kind: int, value: bytes | memoryview) -> None:
    if tag in _BYTES:
        if tag == Tag.JPEG_TABLES and len(value) > _MOST_TABLES:
            raise broken(f"its tables of JPEG have {len(value)} bytes")
        directory.texts[tag] = bytes(value)
        return
    numbers = np.frombuffer(value, directory.order + _TYPES[kind])
    if kind in _FRACTIONS:
        with np.errstate(divide="ignore", invalid="ignore"):
            numbers = numbers[::2] / numbers[1::2]
    if not np.all(np.isfinite(numbers)):
        raise broken(f"the tag {tag} is no number")
    directory.tags[tag] = tuple(numbers.tolist())


def _unpack(code: str, data: bytes, position: int) -> tuple[int, int, int, bytes]:
    try:
        fields: tuple[int, int, int, bytes] = struct.unpack_from(code, data, position)
    except struct.error:
        raise broken("a directory lies outside of the file") from None
    return fields
