"""PNG by its header: depth, colour type, palette and transparency (ISO/IEC 15948).

Both checksums of the pixels are verified, which Pillow does not do. Pillow undoes the filters and
unpacks bits.
"""

import io
import struct
import zlib
from collections.abc import Iterator
from typing import Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from PIL.PngImagePlugin import PngImageFile

from imaging.formats.colour import Pixels, check_white, eight_bits, interleaved_to_planes
from imaging.formats.errors import broken, several_frames
from imaging.formats.orientation import exif_orientation, upright, xmp_orientation
from imaging.formats.png_chunks import (
    GREY,
    GREY_ALPHA,
    PALETTE,
    RGB,
    RGBA,
    SIGNATURE,
    Chunks,
    Header,
    read_chunks,
)

__all__ = ["SIGNATURE", "decode"]

# The mode and the unpacking with which Pillow gives 8-bit samples, or indices into a palette.
_UNPACKED: Final = {
    (1, GREY): ("1", "1"),
    (2, GREY): ("L", "L;2"),
    (4, GREY): ("L", "L;4"),
    (8, GREY): ("L", "L"),
    (8, RGB): ("RGB", "RGB"),
    (1, PALETTE): ("P", "P;1"),
    (2, PALETTE): ("P", "P;2"),
    (4, PALETTE): ("P", "P;4"),
    (8, PALETTE): ("P", "P"),
    (8, GREY_ALPHA): ("LA", "LA"),
    (8, RGBA): ("RGBA", "RGBA"),
}
# Which sample is alpha.
_ALPHA: Final = {GREY_ALPHA: 1, RGBA: 3}
_LONGEST_STORED: Final = 0xFFFF
_WHITE: Final = 0xFFFF
_EXIF_AS_TEXT: Final = "Raw profile type exif"
_XMP: Final = "XML:com.adobe.xmp"
_Level = TypeVar("_Level", np.uint8, np.uint16)


def decode(
    data: bytes, channels: Literal[1, 3], max_pixels: int, white_level: int | None
) -> NDArray[np.uint8]:
    """Decode a PNG file, uint8 [channels, H, W]."""
    chunks = read_chunks(data, max_pixels)
    if chunks.animated:
        raise several_frames()
    stream = _verified(b"".join(chunks.pixels), chunks.header.bytes_filtered)
    if chunks.header.bits == 16:
        pixels = _sixteen_bits(stream, chunks, channels, white_level or _WHITE)
    elif chunks.header.colour == PALETTE:
        pixels = _palette(stream, chunks, channels)
    else:
        pixels = _eight_bits(stream, chunks, channels)
    stated = (exif_orientation(exif) for exif in chunks.exif)
    orientation = next((each for each in stated if each is not None), None)
    if orientation is None and chunks.orientation_in_text:
        orientation = _orientation_in_text(data)
    return upright(pixels, orientation)


def _verified(stream: bytes, length: int) -> bytes:
    """The same pixels in a stream that is not compressed, once its checksum is verified.

    So they are inflated once: what Pillow does with the answer is a copy.
    """
    inflater = zlib.decompressobj()
    raw = inflater.decompress(stream, length)
    # Whoever stops at the last pixel has not seen the checksum, which stands behind it.
    surplus = b"" if inflater.eof else inflater.decompress(inflater.unconsumed_tail, 1)
    if surplus or len(raw) != length or not inflater.eof:
        raise broken("it has other than the number of pixels that its header says")
    parts: list[bytes | memoryview] = [b"\x78\x01"]
    if length <= _LONGEST_STORED:
        parts += (struct.pack("<BHH", 1, length, length ^ 0xFFFF), raw)
    else:
        parts += _stored_blocks(memoryview(raw))
    parts.append(struct.pack(">I", zlib.adler32(raw)))
    return b"".join(parts)


def _stored_blocks(raw: memoryview) -> Iterator[bytes | memoryview]:
    """Blocks that are not compressed (RFC 1951, section 3.2.4)."""
    for start in range(0, len(raw), _LONGEST_STORED):
        block = raw[start : start + _LONGEST_STORED]
        last = start + len(block) == len(raw)
        yield struct.pack("<BHH", last, len(block), len(block) ^ 0xFFFF)
        yield block


def _unfiltered(stream: bytes, header: Header, mode: str, unpacking: str) -> Image.Image:
    size = (header.width, header.height)
    return Image.frombytes(mode, size, stream, "zip", (unpacking, header.interlaced))


def _eight_bits(stream: bytes, chunks: Chunks, channels: Literal[1, 3]) -> NDArray[np.uint8]:
    header = chunks.header
    image = _unfiltered(stream, header, *_UNPACKED[header.bits, header.colour])
    if header.colour in _ALPHA:
        samples = np.frombuffer(image.tobytes(), np.uint8)
        samples = samples.reshape(header.height, header.width, -1)
        return eight_bits(Pixels(samples, _model(header), 255, _ALPHA[header.colour]), channels)
    if chunks.transparency is None:
        return interleaved_to_planes(image, channels)
    scale = 255 // (2**header.bits - 1)
    key = [scale * level for level in _transparent_colour(chunks)]
    native: Literal[1, 3] = 1 if header.colour == GREY else 3
    planes = _keyed(interleaved_to_planes(image, native).transpose(1, 2, 0), key)
    return eight_bits(Pixels(planes, _model(header), 255), channels)


def _sixteen_bits(
    stream: bytes, chunks: Chunks, channels: Literal[1, 3], white: int
) -> NDArray[np.uint8]:
    header = chunks.header
    samples = _sixteen_bit_samples(stream, header)
    if header.colour in (GREY, RGB) and chunks.transparency is not None:
        samples = _keyed(samples, _transparent_colour(chunks))
    check_white(samples, white, 16)
    return eight_bits(Pixels(samples, _model(header), white, _ALPHA.get(header.colour)), channels)


def _model(header: Header) -> Literal["grey", "rgb"]:
    return "grey" if header.colour in (GREY, GREY_ALPHA) else "rgb"


def _sixteen_bit_samples(stream: bytes, header: Header) -> NDArray[np.uint16]:
    """Samples uint16 [H, W, S]. Pillow has no such modes for colour, but can give either byte."""
    shape = (header.height, header.width, -1)
    if header.colour in (GREY, GREY_ALPHA):
        mode = "LA" if header.colour == GREY else "RGBA"
        pairs = _unfiltered(stream, header, mode, mode).tobytes()
        return np.frombuffer(pairs, ">u2").astype(np.uint16).reshape(shape)
    mode = "RGB" if header.colour == RGB else "RGBA"
    high, low = (
        np.frombuffer(_unfiltered(stream, header, mode, f"{mode};16{byte}").tobytes(), np.uint8)
        for byte in ("B", "L")
    )
    return (high * np.uint16(256) + low).reshape(shape)


def _palette(stream: bytes, chunks: Chunks, channels: Literal[1, 3]) -> NDArray[np.uint8]:
    header = chunks.header
    image = _unfiltered(stream, header, *_UNPACKED[header.bits, PALETTE])
    indices = np.frombuffer(image.tobytes(), np.uint8).reshape(header.height, header.width)
    colours = np.frombuffer(chunks.palette, np.uint8)
    if not 3 <= len(colours) <= 768 or len(colours) % 3:
        raise broken("its palette is missing or has no whole number of colours")
    count = len(colours) // 3
    if int(indices.max()) >= count:
        raise broken("a pixel has a colour that its palette lacks")
    opacity = (chunks.transparency or b"")[:count].ljust(count, b"\xff")
    table = np.column_stack((colours.reshape(-1, 3), np.frombuffer(opacity, np.uint8)))
    return eight_bits(Pixels(table[None], "rgb", 255, alpha=3), channels)[:, 0][:, indices]


def _transparent_colour(chunks: Chunks) -> list[int]:
    """The levels of tRNS at the depth of the file: of 16 bits stored, the lowest count."""
    body = chunks.transparency or b""
    if len(body) != (2 if chunks.header.colour == GREY else 6):
        raise broken("its transparent colour has another length than its colours")
    mask = 2**chunks.header.bits - 1
    return [level & mask for level in struct.unpack(f">{len(body) // 2}H", body)]


def _keyed(samples: NDArray[_Level], key: list[int]) -> NDArray[_Level]:
    """Samples [H, W, S] with the pixels of that colour made black."""
    transparent = np.all(samples == np.array(key, samples.dtype), axis=-1)
    return np.where(transparent[..., None], samples.dtype.type(0), samples)


def _orientation_in_text(data: bytes) -> int | None:
    """The orientation in EXIF that stands as text, or else in XMP; None if none."""
    try:
        with PngImageFile(io.BytesIO(data)) as image:
            image.load()
            texts = image.text
        exif = bytes.fromhex("".join(texts.get(_EXIF_AS_TEXT, "").split("\n")[3:]))
    except (OSError, SyntaxError, ValueError):  # as of damaged EXIF in its own chunk
        return None
    stated = exif_orientation(exif) if exif else None
    return xmp_orientation(texts.get(_XMP, "").encode()) if stated is None else stated
