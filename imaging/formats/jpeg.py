"""JPEG by its markers (ITU-T T.81), decoded strictly.

A JPEG has no checksum, and libjpeg answers a damaged one with a picture and a warning that Pillow
does not pass on. simplejpeg decodes with the same libjpeg-turbo and refuses at the first warning.
"""

import io
import re
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL.JpegImagePlugin import JpegImageFile

from imaging.formats.colour import Pixels, eight_bits
from imaging.formats.errors import ImageError, broken, check_size
from imaging.formats.orientation import exif_orientation, upright, xmp_orientation

SIGNATURE: Final = b"\xff\xd8\xff"

MOST_SCANS: Final = 64
"""Encoders write ten scans or so; each one costs a pass over all pixels, even if it is empty."""

_COLOUR_SPACES: Final = {1: "GRAY", 3: "RGB", 4: "CMYK"}
_SOS: Final = 0xDA
_EOI: Final = 0xD9
_APP0: Final = 0xE0
_APP1: Final = 0xE1
_APP14: Final = 0xEE
# What begins a frame; 0xC4, 0xC8 and 0xCC stand between them and mean something else.
_SOF: Final = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
# In the data of a scan, 0xFF is followed by 0, by a restart marker or by more of its kind.
_AFTER_SCAN: Final = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
# A marker begins with any number of 0xFF.
_BEHIND_FILL: Final = re.compile(rb"[^\xff]")
_EXIF: Final = b"Exif\0\0"
_XMP: Final = b"http://ns.adobe.com/xap/1.0/\0"
_MOST_SEGMENTS: Final = 2**12
_SURPLUS: Final = b"\x35\xca" * 64


@dataclass
class Head:
    """What the markers before the first scan say.

    Attributes
    ----------
    by_exif, by_xmp
        The orientation; of several segments, the first that states one counts.
    """

    width: int = 0
    height: int = 0
    bits: int = 0
    components: int = 0
    adobe_transform: int | None = None
    by_exif: int | None = None
    by_xmp: int | None = None
    first_scan: int = 0


def decode(data: bytes, channels: Literal[1, 3], max_pixels: int) -> NDArray[np.uint8]:
    """Decode a JPEG file, uint8 [channels, H, W]."""
    head = read_head(data)
    check_size(head.width, head.height, max_pixels)
    samples = decode_samples(data, head)
    if head.components == 4:
        # Adobe stores ink the other way round.
        ink = samples if head.adobe_transform is None else 255 - samples
        pixels = Pixels(ink, "cmyk", 255)
    else:
        pixels = Pixels(samples, "grey" if head.components == 1 else "rgb", 255)
    return upright(eight_bits(pixels, channels), head.by_exif, head.by_xmp)


def decode_samples(data: bytes, head: Head) -> NDArray[np.uint8]:
    """The samples [H, W, S], grey, RGB or CMYK as the file says."""
    space = _COLOUR_SPACES.get(head.components)
    if head.bits != 8 or space is None:
        raise ImageError(
            "unknown-format",
            f"The JPEG has {head.components} components of {head.bits} bits; 1, 3 or 4 components "
            "of 8 bits are accepted.",
        )
    _check_scans(data, head.first_scan)
    try:
        samples: NDArray[np.uint8] = simplejpeg.decode_jpeg(data, space, strict=True)
    except ValueError as error:
        if "subsampling" in str(error):
            return _decode_unusual(data, head)
        raise broken(error) from None
    return samples


def _decode_unusual(data: bytes, head: Head) -> NDArray[np.uint8]:
    """Samples whose subsampling has no name in libjpeg-turbo's strict interface.

    A decoder that wants more data than there are finds those that are put in front of the end.
    """
    end = data.rfind(b"\xff\xd9")
    samples = _decode_by_pillow(data)
    if not np.array_equal(samples, _decode_by_pillow(data[:end] + _SURPLUS + data[end:])):
        raise broken("its pixels end early")
    # Pillow turns all ink around, Adobe's or not, which is left to the caller.
    return 255 - samples if head.components == 4 else samples


def _decode_by_pillow(data: bytes) -> NDArray[np.uint8]:
    with JpegImageFile(io.BytesIO(data)) as image:
        return np.atleast_3d(np.asarray(image))


def read_head(data: bytes) -> Head:
    """Read the segments before the first scan.

    Raises
    ------
    ImageError
        If one of them is cut off, or if there is no scan.
    """
    head = Head()
    position = 2
    for _ in range(_MOST_SEGMENTS):
        marker, body, position = _segment(data, position)
        if marker == _SOS:
            head.first_scan = position
            return head
        if marker in _SOF:
            if len(body) < 6:
                raise broken("its frame header is cut off")
            head.bits = body[0]
            head.height = int.from_bytes(body[1:3], "big")
            head.width = int.from_bytes(body[3:5], "big")
            head.components = body[5]
        elif marker == _APP1 and body.startswith(_EXIF):
            head.by_exif = exif_orientation(body) if head.by_exif is None else head.by_exif
        elif marker == _APP1 and body.startswith(_XMP):
            head.by_xmp = xmp_orientation(body) if head.by_xmp is None else head.by_xmp
        elif marker == _APP14 and body.startswith(b"Adobe") and len(body) >= 12:
            head.adobe_transform = body[11]
    raise _too_many_segments()


def _too_many_segments() -> ImageError:
    return broken(f"it has more than {_MOST_SEGMENTS} segments")


def _segment(data: bytes, position: int) -> tuple[int, bytes, int]:
    """The marker at a position, what it holds, and the position behind it."""
    start, found = position, _BEHIND_FILL.search(data, position)
    position = len(data) if found is None else found.start()
    length = int.from_bytes(data[position + 1 : position + 3], "big")
    end = position + 1 + length
    if position == start or length < 2 or end > len(data) or data[position] == _EOI:
        raise broken("its segments do not follow each other")
    return data[position], data[position + 3 : end], end


def _check_scans(data: bytes, position: int) -> None:
    # No file has more scans than places that look like the beginning of one.
    if data.count(b"\xff\xda") <= MOST_SCANS:
        return
    scans = 1
    for _ in range(_MOST_SEGMENTS):
        found = _AFTER_SCAN.search(data, position)
        if found is None or data[found.start() + 1] == _EOI:
            return
        marker, _, position = _segment(data, found.start())
        scans += marker == _SOS
        if scans > MOST_SCANS:
            most = f"at most {MOST_SCANS} are accepted"
            raise ImageError("broken", f"The JPEG has more than {MOST_SCANS} scans; {most}.")
    raise _too_many_segments()


def decode_abbreviated(
    data: bytes, tables: bytes, *, transformed: bool, fits: Callable[[int, int], bool]
) -> NDArray[np.uint8]:
    """The samples [H, W, S] of a JPEG within a TIFF (Technical Note 2 to TIFF 6.0).

    Parameters
    ----------
    tables
        A JPEG of tables alone, which stand before those of `data`; may be empty.
    transformed
        Whether three components are YCbCr, which become RGB; else they stay as they are.
    fits
        Whether a width and a height are accepted, before anything of that size is decoded.
    """
    if not data.startswith(b"\xff\xd8") or (tables and not tables.endswith(b"\xff\xd9")):
        raise broken("a tile or strip is no JPEG")
    # What the tags say of the colours counts, and not what markers within say.
    adobe = struct.pack(">BBH5sHHHB", 0xFF, _APP14, 14, b"Adobe", 100, 0, 0, transformed)
    whole = b"".join((b"\xff\xd8", tables[2:-2], *_without_colour_markers(data)))
    head = read_head(whole)
    if not fits(head.width, head.height):
        raise broken(f"a tile or strip has a JPEG of {head.width} x {head.height}")
    if head.components == 3:
        whole = whole[:2] + adobe + whole[2:]
        head = read_head(whole)
    return decode_samples(whole, head)


def _without_colour_markers(data: bytes) -> list[bytes]:
    """The segments of a JPEG but for those of JFIF and Adobe, and all that follows them."""
    kept: list[bytes] = []
    position = 2
    for _ in range(_MOST_SEGMENTS):
        start = position
        marker, _, position = _segment(data, start)
        if marker == _SOS:
            return [*kept, data[start:]]
        if marker not in (_APP0, _APP14):
            kept.append(data[start:position])
    raise _too_many_segments()
