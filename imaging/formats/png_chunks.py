"""The chunks of a PNG (ISO/IEC 15948), each with its checksum verified."""

import struct
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from imaging.formats.errors import broken, check_size

SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"

GREY, RGB, PALETTE, GREY_ALPHA, RGBA = 0, 2, 3, 4, 6

_SAMPLES: Final = {GREY: 1, RGB: 3, PALETTE: 1, GREY_ALPHA: 2, RGBA: 4}
_DEPTHS: Final = {
    GREY: (1, 2, 4, 8, 16),
    RGB: (8, 16),
    PALETTE: (1, 2, 4, 8),
    GREY_ALPHA: (8, 16),
    RGBA: (8, 16),
}
# First row, first column, row step and column step of the passes of Adam7.
_ADAM7: Final = (
    (0, 0, 8, 8),
    (0, 4, 8, 8),
    (4, 0, 8, 4),
    (0, 2, 4, 4),
    (2, 0, 4, 2),
    (0, 1, 2, 2),
    (1, 0, 2, 1),
)
# More than any encoder writes, and few enough to be read in milliseconds.
_MOST_CHUNKS: Final = 2**16
# Of so many is it looked which one states an orientation.
_MOST_EXIF: Final = 16
_TEXTS: Final = (b"tEXt", b"zTXt", b"iTXt")
_TEXTS_WITH_AN_ORIENTATION: Final = (b"Raw profile type ", b"XML:com.adobe.xmp")


class Header(NamedTuple):
    """The fields of IHDR that vary: `bits` a sample, and `colour`, the type by its number."""

    width: int
    height: int
    bits: int
    colour: int
    interlaced: bool

    @property
    def bytes_filtered(self) -> int:
        """The length of the pixels, uncompressed, with the byte of the filter before each row."""
        bits = self.bits * _SAMPLES[self.colour]
        if not self.interlaced:
            return self.height * (1 + (self.width * bits + 7) // 8)
        total = 0
        for top, left, down, right in _ADAM7:
            width = -((left - self.width) // right)
            height = -((top - self.height) // down)
            total += height * (1 + (width * bits + 7) // 8) if width > 0 else 0
        return total


@dataclass(slots=True)
class Chunks:
    """What is kept of a file's chunks.

    Attributes
    ----------
    pixels
        The parts of the compressed stream.
    exif
        The first blocks of EXIF; the standard has one.
    orientation_in_text
        Whether a text may state an orientation.
    animation_frames
        How many pictures the animation has, 0 if there is none.
    first_is_a_frame
        Whether the picture in IDAT is one of them.
    """

    header: Header
    pixels: list[bytes] = field(default_factory=list)
    palette: bytes = b""
    transparency: bytes | None = None
    exif: list[bytes] = field(default_factory=list)
    orientation_in_text: bool = False
    animation_frames: int = 0
    first_is_a_frame: bool = False

    @property
    def animated(self) -> bool:
        """Whether there are pictures beside the one in IDAT, which an animation may leave out."""
        return self.animation_frames > int(self.first_is_a_frame)


def read_chunks(data: bytes, max_pixels: int) -> Chunks:
    """Read all chunks up to IEND.

    Raises
    ------
    ImageError
        If the image is too large, or if a chunk is cut off, damaged or not known and critical.
    """
    found = _verified_chunks(data)
    kind, body = next(found)
    if kind != b"IHDR" or len(body) != 13:
        raise broken("it does not begin with a header")
    chunks = Chunks(_header(body, max_pixels))
    for kind, body in found:
        if kind == b"IDAT":
            chunks.pixels.append(body)
        elif kind != b"IEND":
            _keep(chunks, kind, body)
    if not chunks.pixels:
        raise broken("it holds no pixels")
    return chunks


def _verified_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    view = memoryview(data)
    position = len(SIGNATURE)
    for _ in range(_MOST_CHUNKS):
        end = position + 8 + int.from_bytes(data[position : position + 4], "big")
        if end + 4 > len(data):
            raise broken("the file ends early")
        kind = data[position + 4 : position + 8]
        if zlib.crc32(view[position + 4 : end]) != int.from_bytes(data[end : end + 4], "big"):
            raise broken(f"the checksum of the chunk {kind.decode('ascii', 'replace')!r} is wrong")
        yield kind, data[position + 8 : end]
        if kind == b"IEND":
            return
        position = end + 4
    raise broken(f"it has more than {_MOST_CHUNKS} chunks")


def _header(body: bytes, max_pixels: int) -> Header:
    width, height, bits, colour, compression, filters, interlace = struct.unpack(">IIBBBBB", body)
    check_size(width, height, max_pixels)
    if bits not in _DEPTHS.get(colour, ()):
        raise broken(f"there is no colour type {colour} of {bits} bits")
    if compression or filters or interlace > 1:
        raise broken("its compression, filter or interlace method is not known")
    return Header(width, height, bits, colour, bool(interlace))


def _keep(chunks: Chunks, kind: bytes, body: bytes) -> None:
    match kind:
        case b"PLTE" if not chunks.palette:
            chunks.palette = body
        case b"tRNS" if chunks.transparency is None:
            chunks.transparency = body
        case b"PLTE" | b"tRNS":
            raise broken(f"it has the chunk {kind.decode()!r} twice")
        case b"eXIf":
            chunks.exif += [body] if len(chunks.exif) < _MOST_EXIF else []
        case b"fcTL":
            chunks.first_is_a_frame |= not chunks.pixels
        case b"acTL":
            chunks.animation_frames = int.from_bytes(body[:4], "big")
        case _ if kind in _TEXTS:
            chunks.orientation_in_text |= body.startswith(_TEXTS_WITH_AN_ORIENTATION)
        case _ if not kind[0] & 0x20:
            raise broken(f"the chunk {kind.decode('ascii', 'replace')!r} is not known")
