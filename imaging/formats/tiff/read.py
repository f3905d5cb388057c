"""A TIFF's pixels: its segments are uncompressed, unpacked, put together and converted."""

import io
from collections.abc import Callable
from typing import Final, Literal, cast

import numpy as np
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError

from imaging.formats import jpeg
from imaging.formats.colour import Model, Pixels, Samples, check_white, eight_bits
from imaging.formats.errors import broken
from imaging.formats.orientation import upright
from imaging.formats.tiff.codecs import uncompressed
from imaging.formats.tiff.directory import Directory, Tag, picture
from imaging.formats.tiff.layout import JPEG, RAW, WEBP, Layout, read_layout
from imaging.formats.tiff.samples import undo_prediction, unpack

_SURPLUS_ROWS: Final = 64
"""A JPEG may be filled up to whole blocks of the pixels that it is made of."""

SIGNATURES: Final = (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")


def decode(
    data: bytes, channels: Literal[1, 3], max_pixels: int, white_level: int | None
) -> NDArray[np.uint8]:
    """Decode a TIFF file, uint8 [channels, H, W]."""
    directory = picture(data)
    layout = read_layout(directory, max_pixels, white_level)
    _check_shared(data, layout)
    planes = [_plane(data, layout, directory, index) for index in range(layout.planes)]
    samples = planes[0] if len(planes) == 1 else cast(Samples, np.concatenate(planes, axis=2))
    pixels = eight_bits(_meaning(samples, layout, directory), channels)
    return upright(pixels, layout.orientation)


def _plane(data: bytes, layout: Layout, directory: Directory, plane: int) -> Samples:
    """The samples [H, W, S] that lie side by side in the file."""
    across, down = layout.across, layout.down
    rows = [layout.segment_height] * (across * down)
    if not layout.tiled:
        rows[-1] = layout.height - (down - 1) * layout.segment_height
    first = plane * across * down
    segments = [
        _segment(data, layout, first + index, count * layout.row_bytes)
        for index, count in enumerate(rows)
    ]
    if layout.compression in (JPEG, WEBP):
        samples = np.concatenate(
            [
                _picture(segment, count, layout, directory)
                for segment, count in zip(segments, rows, strict=True)
            ]
        )
    else:
        raw = uncompressed(segments, rows, layout, directory)
        samples = _samples(np.frombuffer(raw, np.uint8).reshape(-1, layout.row_bytes), layout)
    return _assembled(samples, across, layout)


def _check_shared(data: bytes, layout: Layout) -> None:
    """Refuse segments that lie in the same place so often that a small file becomes a huge one.

    Blank tiles may, and compressed ones are about as long as their pixels at most.
    """
    if layout.compression == RAW:  # of which no more is taken than there are pixels
        return
    lengths = layout.counts or tuple(len(data) - start for start in layout.offsets)
    if sum(lengths[: layout.segments]) > len(data) + layout.held:
        raise broken("its tiles or strips have more bytes than the file and their pixels")


def _segment(data: bytes, layout: Layout, index: int, length: int) -> memoryview:
    start = layout.offsets[index]
    count = layout.counts[index] if layout.counts else len(data) - start
    if layout.compression == RAW and not layout.counts:
        count = length
    if start < 1 or count < 1 or start + count > len(data):
        raise broken("a tile or strip lies outside of the file")
    return memoryview(data)[start : start + count]


def _samples(rows: NDArray[np.uint8], layout: Layout) -> Samples:
    width, count = layout.segment_width, layout.samples_a_plane
    flat = unpack(rows, width * count, layout.bits, layout.order)
    samples = flat.reshape(len(rows), width, count)
    return undo_prediction(samples) if layout.predicted else samples


def _assembled(samples: Samples, across: int, layout: Layout) -> Samples:
    """Segments [rows of all, segment width, S] in their places, and cut to size."""
    if across > 1:
        height, width, count = layout.segment_height, layout.segment_width, samples.shape[2]
        tiles = samples.reshape(-1, across, height, width, count)
        samples = tiles.transpose(0, 2, 1, 3, 4).reshape(-1, across * width, count)
    return samples[: layout.height, : layout.width]


def _picture(
    segment: memoryview, rows: int, layout: Layout, directory: Directory
) -> NDArray[np.uint8]:
    """A segment that is a whole JPEG or WebP file, [rows, segment width, S]."""

    def fits(width: int, height: int) -> bool:
        most = layout.segment_height + _SURPLUS_ROWS
        return width == layout.segment_width and rows <= height <= most

    if layout.compression == WEBP:
        samples = _webp(bytes(segment), fits)
    else:
        samples = jpeg.decode_abbreviated(
            bytes(segment),
            directory.texts.get(Tag.JPEG_TABLES, b""),
            transformed=layout.model == "ycbcr",
            fits=fits,
        )
    if samples.shape[2] != layout.samples_a_plane:
        raise broken("the pixels of a tile or strip have other samples than the tags say")
    return samples[:rows]


def _webp(segment: bytes, fits: Callable[[int, int], bool]) -> NDArray[np.uint8]:
    try:
        with Image.open(io.BytesIO(segment), formats=("WEBP",)) as image:
            if not fits(image.width, image.height):
                raise broken(f"a tile or strip has a WebP of {image.width} x {image.height}")
            return np.asarray(image)
    except UnidentifiedImageError:
        raise broken("a tile or strip is no WebP") from None


def _meaning(samples: Samples, layout: Layout, directory: Directory) -> Pixels:
    if layout.model == "palette":
        return _colours(samples, layout, directory)
    if layout.model == "ycbcr":
        return Pixels(_from_ycbcr(samples, layout), "rgb", 255, layout.alpha)
    check_white(samples, layout.white, layout.bits)
    return Pixels(samples, cast(Model, layout.model), layout.white, layout.alpha)


def _colours(samples: Samples, layout: Layout, directory: Directory) -> Pixels:
    """The colours of a palette, of 16 bits, with the alpha that may stand beside the indices."""
    levels = np.array(directory.numbers(Tag.COLOR_MAP), np.int64)
    count = 2**layout.bits
    if len(levels) != 3 * count or levels.min() < 0 or levels.max() > 0xFFFF:
        raise broken("its palette has another number of colours than its depth")
    # Some writers put 8-bit levels where 16 bits belong, in the lower half or in the upper.
    if levels.max() <= 0xFF:
        levels *= 257
    elif not np.any(levels % 256):
        levels = levels // 256 * 257
    table = levels.reshape(3, count).T.astype(np.uint16)
    colours = table[samples[..., 0]]
    if layout.alpha is None:
        return Pixels(colours, "rgb", 0xFFFF)
    opacity = samples[..., layout.alpha, None].astype(np.uint16)
    return Pixels(np.concatenate((colours, opacity), axis=2), "rgb", 0xFFFF, 3, opaque=count - 1)


def _from_ycbcr(samples: Samples, layout: Layout) -> Samples:
    if layout.compression in (JPEG, WEBP):
        return samples
    colours = Image.fromarray(np.ascontiguousarray(samples[..., :3]), "YCbCr").convert("RGB")
    return np.concatenate((np.asarray(colours), samples[..., 3:]), axis=2)
