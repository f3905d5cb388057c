"""An image as a PNG whose bytes are the same on every machine."""

import struct
import zlib
from typing import Final

import numpy as np
from numpy.typing import NDArray

_SIGNATURE: Final = b"\x89PNG\r\n\x1a\n"
_COLOUR_TYPE: Final = {1: 0, 3: 2}
_LONGEST_BLOCK: Final = 0xFFFF


def png(image: NDArray[np.uint8], *, longest: int = 96) -> bytes:
    """Write an image as PNG; one with a longer side is shrunk by a whole factor first.

    Pixels are stored and not compressed: compressed bytes differ from one zlib to the next.

    Parameters
    ----------
    image : uint8 [C, H, W]
        Of one channel, or of red, green and blue.
    longest
        The most pixels along a side.

    Raises
    ------
    ValueError
        If the image has another type or shape.
    """
    if image.dtype != np.uint8 or image.ndim != 3 or len(image) not in _COLOUR_TYPE:
        raise ValueError(
            f"The image is {image.dtype} of shape {image.shape}; uint8 [1, H, W] or [3, H, W] is "
            "accepted."
        )
    small = _shrunk(image, -(-max(image.shape[1:]) // longest))
    channels, height, width = small.shape
    rows = small.transpose(1, 2, 0).reshape(height, -1)
    filtered = np.pad(rows, ((0, 0), (1, 0))).tobytes()
    header = struct.pack(">IIBBBBB", width, height, 8, _COLOUR_TYPE[channels], 0, 0, 0)
    return b"".join(
        (
            _SIGNATURE,
            _chunk(b"IHDR", header),
            _chunk(b"IDAT", _stored(filtered)),
            _chunk(b"IEND", b""),
        )
    )


def _shrunk(image: NDArray[np.uint8], factor: int) -> NDArray[np.uint8]:
    """Means of squares of pixels; what is left over at the right and below is cut off."""
    if factor == 1:
        return image
    height, width = (side // factor for side in image.shape[1:])
    squares = image[:, : height * factor, : width * factor].reshape(
        len(image), height, factor, width, factor
    )
    total = squares.sum(axis=(2, 4), dtype=np.int64)
    means: NDArray[np.uint8] = ((total + factor**2 // 2) // factor**2).astype(np.uint8)
    return means


def _stored(data: bytes) -> bytes:
    """A zlib stream of blocks that are not compressed (RFC 1950, RFC 1951 section 3.2.4)."""
    starts = range(0, len(data), _LONGEST_BLOCK)
    blocks = [data[start : start + _LONGEST_BLOCK] for start in starts]
    last = len(blocks) - 1
    body = b"".join(
        struct.pack("<BHH", index == last, len(block), len(block) ^ 0xFFFF) + block
        for index, block in enumerate(blocks)
    )
    return b"\x78\x01" + body + struct.pack(">I", zlib.adler32(data))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
