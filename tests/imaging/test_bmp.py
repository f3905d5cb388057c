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


INDICES = [[0, 0, 0, 0, 0], [1, 2, 3, 4, 4], [0, 0, 0, 0, 0], [3, 3, 3, 3, 3]]
"""Of an image whose third row, and the first and last pixel of its top one, the runs leave out."""


def in_runs(runs: bytes, bits: int, *, aside: bytes = b"") -> bytes:
    """Write an image of 5 x 4 pixels whose colours are their own index, with bytes before it."""
    palette = np.repeat(np.arange(16), 4).astype(np.uint8).tobytes()
    kind, start = (1 if bits == 8 else 2), 54 + len(palette) + len(aside)
    head = struct.pack("<IiiHHIIiiII", 40, 5, 4, 1, bits, kind, len(runs), 0, 0, 16, 0)
    file = struct.pack("<2sIHHI", b"BM", start + len(runs), 0, 0, start)
    return b"".join((file, head, palette, aside, runs))


@pytest.mark.parametrize("aside", [b"", b"x"])
@pytest.mark.parametrize(
    ("bits", "middle"),
    [(8, bytes((0, 3, 1, 2, 3, 0, 2, 4, 0, 0))), (4, bytes((0, 3, 0x12, 0x30, 2, 0x44, 0, 0)))],
)
def test_what_runs_leave_out_has_the_first_colour(bits: int, middle: bytes, aside: bytes) -> None:
    """A row without a pixel is one all the same, also at the end."""
    bottom = bytes((5, 0x33 if bits == 4 else 3, 0, 0))
    for rest in (b"\0\0" + middle + b"\0\1", b"\0\2\0\1" + middle + b"\0\1"):
        shown = decode(in_runs(bottom + rest, bits, aside=aside), 1)
        assert shown[0].tolist() == INDICES


@pytest.mark.parametrize(
    ("runs", "fault"),
    [
        (bytes((6, 1, 0, 1)), "beyond the row"),
        (bytes((3, 1, 0, 3, 1, 1, 1, 0, 0, 1)), "beyond the row"),
        (bytes((5, 1, 0, 2, 0, 4, 1, 1, 0, 1)), "beyond the row"),
        (bytes((5, 1, 0, 0, 5, 1)), "end before the image does"),
        (bytes((5, 1, 0, 2, 1)), "end before the image does"),
        (b"", "end before the image does"),
    ],
)
def test_runs_that_are_not_of_the_image_are_refused(runs: bytes, fault: str) -> None:
    with pytest.raises(ImageError, match=fault):
        decode(in_runs(runs, 8), 1)


@pytest.mark.slow
def test_no_more_runs_are_read_than_anybody_writes() -> None:
    """Sixteen million of one pixel each, 32 MiB, took seven seconds."""
    many = bytes((0, 2, 0, 0)) * (2**22 + 1)  # a move that goes nowhere
    with pytest.raises(ImageError, match="it is in more than 4194304 runs"):
        decode(in_runs(many, 8), 1)
