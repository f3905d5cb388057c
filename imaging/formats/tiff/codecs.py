"""The bytes of a TIFF's tiles and strips, uncompressed."""

import ctypes
import io
import struct
import threading
import zlib
from collections.abc import Sequence
from functools import cache
from typing import Final

from PIL import _imaging
from PIL.TiffImagePlugin import TiffImageFile

from imaging.formats.errors import broken
from imaging.formats.tiff.directory import Directory, Tag
from imaging.formats.tiff.layout import (
    COMPRESSIONS,
    DEFLATE,
    FAX,
    OLD_DEFLATE,
    RAW,
    Layout,
)

_SHORT, _LONG = 3, 4
# By thread, since that is where the handler is called.
_errors: Final = threading.local()
_REVERSED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def uncompressed(
    segments: Sequence[memoryview], rows: Sequence[int], layout: Layout, directory: Directory
) -> bytes:
    """The rows of all segments, one after the other, each of `layout.row_bytes` bytes.

    Parameters
    ----------
    segments
        The segments as they lie in the file.
    rows
        How many rows each holds; all but the last as many as the first.
    """
    if layout.compression == RAW:
        data = b"".join(
            _exactly(segment, count * layout.row_bytes)
            for segment, count in zip(segments, rows, strict=True)
        )
    elif layout.compression in (DEFLATE, OLD_DEFLATE):
        data = b"".join(
            _inflated(segment, count * layout.row_bytes, layout.segment_height * layout.row_bytes)
            for segment, count in zip(segments, rows, strict=True)
        )
    else:
        data = _by_libtiff(segments, rows, layout, directory)
    # libtiff rotates the bits of facsimiles around by itself.
    return (
        data.translate(_REVERSED)
        if layout.reversed_bits and layout.compression not in FAX
        else data
    )


def _exactly(segment: memoryview, length: int) -> memoryview:
    if len(segment) < length:
        raise broken("a tile or strip is shorter than its pixels")
    return segment[:length]


def _inflated(segment: memoryview, length: int, longest: int) -> bytes:
    """A segment that may be as long as a full one although the picture ends before."""
    inflater = zlib.decompressobj()
    data = inflater.decompress(segment, longest)
    surplus = b"" if inflater.eof else inflater.decompress(inflater.unconsumed_tail, 1)
    if surplus or not inflater.eof or len(data) < length:
        raise broken("a tile or strip has other than its number of pixels")
    return data[:length]


def _by_libtiff(
    segments: Sequence[memoryview], rows: Sequence[int], layout: Layout, directory: Directory
) -> bytes:
    """Let libtiff undo the compression alone: what it reads are rows of bytes, or of bits.

    The segments become the strips of a grey image that has as many rows as all of them.
    """
    _listen_to_libtiff()
    _errors.noted = False
    fax = layout.compression in FAX
    width = layout.segment_width if fax else layout.row_bytes
    height = sum(rows)
    file = _grey_tiff(segments, rows[0], (width, height), layout, directory)
    try:
        # Not `Image.open`, which counts bytes here as pixels.
        with TiffImageFile(io.BytesIO(file)) as image:
            data = image.tobytes()
    except (OSError, SyntaxError, ValueError):
        _errors.noted = True
    if _errors.noted:
        name = COMPRESSIONS[layout.compression]
        raise broken(f"its {name} data are damaged, or this Pillow lacks {name}")
    return data


def _grey_tiff(
    segments: Sequence[memoryview],
    rows_a_strip: int,
    size: tuple[int, int],
    layout: Layout,
    directory: Directory,
) -> bytes:
    """A little-endian TIFF of those strips."""
    header = 8
    offsets = [header]
    for segment in segments:
        offsets.append(offsets[-1] + len(segment))
    count = len(segments)
    tables = struct.pack(f"<{2 * count}I", *offsets[:-1], *map(len, segments))
    padding = offsets[-1] % 2
    table = offsets[-1] + padding
    start = table + len(tables)
    single = count == 1
    entries = [
        (Tag.IMAGE_WIDTH, _LONG, 1, size[0]),
        (Tag.IMAGE_LENGTH, _LONG, 1, size[1]),
        (Tag.BITS_PER_SAMPLE, _SHORT, 1, 1 if layout.compression in FAX else 8),
        (Tag.COMPRESSION, _SHORT, 1, layout.compression),
        (Tag.PHOTOMETRIC, _SHORT, 1, 1),
        (Tag.FILL_ORDER, _SHORT, 1, 2 if layout.reversed_bits else 1),
        (Tag.STRIP_OFFSETS, _LONG, count, offsets[0] if single else table),
        (Tag.SAMPLES_PER_PIXEL, _SHORT, 1, 1),
        (Tag.ROWS_PER_STRIP, _LONG, 1, rows_a_strip),
        (Tag.STRIP_BYTE_COUNTS, _LONG, count, len(segments[0]) if single else table + 4 * count),
    ]
    entries += [
        (tag, _LONG, 1, directory.number(tag))
        for tag in (Tag.T4_OPTIONS, Tag.T6_OPTIONS)
        if layout.compression in FAX and tag in directory.tags
    ]
    packed = b"".join(struct.pack("<HHII", *entry) for entry in entries)
    head = b"II*\0" + struct.pack("<I", start)
    listing = struct.pack("<H", len(entries)) + packed + b"\0\0\0\0"
    return b"".join((head, *segments, b"\0" * padding, tables, listing))


def _note_error(module: int, message: int, arguments: int) -> None:
    _errors.noted = True


# It is kept for as long as libtiff may call it.
_HANDLER: Final = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3)(_note_error)


@cache
def _listen_to_libtiff() -> None:
    """Note libtiff's errors, which it would write to the standard error stream, many lines a file.

    Pillow silences its warnings only, and answers with what was decoded in spite of an error.
    Where the symbol cannot be found, nothing is changed.
    """
    try:
        ctypes.CDLL(_imaging.__file__).TIFFSetErrorHandler(_HANDLER)
    except (AttributeError, OSError):
        return
