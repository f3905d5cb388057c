"""BMP files by their own bytes: what Pillow rounds down, or shows black, is not taken over."""

import struct

import numpy as np
import pytest
from numpy.typing import NDArray

from imaging import ImageError, decode


def bmp(rows: NDArray[np.generic], bits: int, masks: bytes = b"", palette: bytes = b"") -> bytes:
    """Write rows from bottom to top, each a multiple of four bytes."""
    height = len(rows)
    width = rows.nbytes * 8 // bits // height
    colours = len(palette) // 4
    head = struct.pack(
        "<IiiHHIIiiII", 40, width, height, 1, bits, 3 if masks else 0, 0, 0, 0, colours, 0
    )
    start = 14 + len(head) + len(masks) + len(palette)
    file = struct.pack("<2sIHHI", b"BM", start + rows.nbytes, 0, 0, start)
    return b"".join((file, head, masks, palette, rows[::-1].tobytes()))


@pytest.mark.parametrize("green", [5, 6])
def test_fewer_than_eight_bits_are_rounded_to_the_nearest_level(green: int) -> None:
    samples = np.arange(32, dtype="<u2").reshape(4, 8)
    shades = samples << (green - 5)
    rows = samples << (green + 5) | shades << 5 | samples
    masks = struct.pack("<III", 0xF800, 0x7E0, 0x1F) if green == 6 else b""
    red_blue = np.floor(samples * 255 / 31 + 0.5)
    expected = [red_blue, np.floor(shades * 255 / (2**green - 1) + 0.5), red_blue]
    assert np.array_equal(decode(bmp(rows, 16, masks), 3), expected)


@pytest.mark.parametrize(
    ("bits", "masks", "layout"),
    [
        (32, (0x3FF00000, 0xFFC00, 0x3FF), "bitfields layout"),  # 10 bits a sample
        (16, (0xF00, 0xF0, 0xF), "bitfields layout"),
        (64, (), r"pixel depth \(64\)"),
    ],
)
def test_a_layout_that_is_not_read_is_no_broken_file(
    bits: int, masks: tuple[int, ...], layout: str
) -> None:
    rows = np.ones((2, 4), f"u{bits // 8}")
    file = bmp(rows, bits, struct.pack(f"<{len(masks)}I", *masks))
    with pytest.raises(ImageError, match=rf"a layout that is not read \({layout}\)") as error:
        decode(file, 3)
    assert error.value.reason == "unknown-format"


def test_a_palette_that_lacks_a_colour_is_refused() -> None:
    palette = np.arange(64, dtype=np.uint8).reshape(16, 4)
    rows = np.arange(16, dtype=np.uint8).reshape(2, 8)
    shown = np.moveaxis(palette[rows][..., 2::-1], -1, 0)
    assert np.array_equal(decode(bmp(rows, 8, palette=palette.tobytes()), 3), shown)
    with pytest.raises(ImageError, match="a pixel has a colour that its palette lacks"):
        decode(bmp(rows + np.uint8(1), 8, palette=palette.tobytes()), 3)


@pytest.mark.parametrize("bits", [1, 4, 8])
@pytest.mark.parametrize("colours", [2, 16])
def test_indices_into_greys_in_order_are_no_samples(bits: int, colours: int) -> None:
    if colours > 2**bits:
        return
    greys = np.array([0, 255]) if colours == 2 else np.arange(colours)
    palette = np.repeat(greys, 4).astype(np.uint8).tobytes()
    indices = np.random.default_rng(1).integers(0, colours, (4, 32), np.uint8)
    unpacked = np.unpackbits(indices[..., None], axis=2)[..., 8 - bits :]
    rows = np.packbits(unpacked.reshape(4, -1), axis=1)
    for channels in (1, 3):
        shown = decode(bmp(rows, bits, palette=palette), channels)
        assert np.array_equal(shown, np.broadcast_to(greys[indices], shown.shape))


def test_an_index_beyond_a_palette_of_greys_is_refused() -> None:
    palette = np.repeat(np.arange(3), 4).astype(np.uint8).tobytes()
    with pytest.raises(ImageError, match="a pixel has a colour that its palette lacks"):
        decode(bmp(np.full((2, 4), 3, np.uint8), 8, palette=palette), 1)
