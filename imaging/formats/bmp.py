"""What Pillow would show otherwise than a BMP says: palettes of greys, samples of few bits, runs.

Pillow drops a palette of greys in order and takes the indices for samples, of one bit if there are
two colours, whatever the depth of the file. A palette whose first colour is no grey is never
dropped, and so the indices come with such a one in its place.
"""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import ImageFile

from imaging.formats.bmp_runs import read_runs
from imaging.formats.colour import Pixels, eight_bits
from imaging.formats.errors import broken

_CORE: Final = 12
"""Bytes of OS/2's header, which has shorter fields and colours of three bytes."""

_FILE_HEADER: Final = 14
_NO_GREY: Final = b"\1\2\3"
_DEPTHS: Final = (1, 4, 8)
_MOST_COLOURS: Final = 2**16

_BITS: Final = {"BGR;15": (5, 5, 5), "BGR;16": (5, 6, 5)}
"""Of red, green and blue in a BMP of 16 bits a pixel, by Pillow's name of how they are packed."""


@dataclass(frozen=True)
class Palette:
    """The colours of a BMP of 1, 4 or 8 bits a pixel.

    Attributes
    ----------
    start
        Where they begin in the file.
    colours : uint8 [K, 3]
        Red, green and blue.
    """

    start: int
    colours: NDArray[np.uint8]

    def kept_by_pillow(self, data: bytes) -> bytes:
        """The file with a palette that Pillow does not drop."""
        return data[: self.start] + _NO_GREY + data[self.start + len(_NO_GREY) :]

    def shown(self, indices: NDArray[np.uint8], channels: Literal[1, 3]) -> NDArray[np.uint8]:
        """The colours of the indices [H, W], uint8 [channels, H, W].

        Raises
        ------
        ImageError
            If a pixel has none, which Pillow shows as black.
        """
        if int(indices.max()) >= len(self.colours):
            raise broken("a pixel has a colour that its palette lacks")
        return eight_bits(Pixels(self.colours[None], "rgb", 255), channels)[:, 0][:, indices]


def read_palette(data: bytes) -> Palette | None:
    """Read the palette of a BMP of 1, 4 or 8 bits; None of any other file."""
    length = _number(data, _FILE_HEADER, 4)
    core = length == _CORE
    bits = _number(data, 24 if core else 28, 2)
    if not data.startswith(b"BM") or bits not in _DEPTHS:
        return None
    used = 0 if core else _number(data, 46, 4)
    count = min(used or 2**bits, _MOST_COLOURS)
    start, step = _FILE_HEADER + length, 3 if core else 4
    levels = np.frombuffer(data[start : start + count * step], np.uint8)
    whole = levels[: len(levels) // step * step].reshape(-1, step)
    return Palette(start, whole[:, 2::-1])


def read_indices(image: ImageFile.ImageFile, data: bytes) -> NDArray[np.uint8]:
    """Read the indices, uint8 [H, W], of a BMP of 1, 4 or 8 bits that is open, and these bytes.

    Raises
    ------
    ImageError
        If it is in runs that are broken.
    """
    tile = image.tile[0]
    if tile.codec_name != "bmp_rle" or not isinstance(tile.args, tuple):
        return np.asarray(image)
    _, halves, direction = tile.args
    rows = read_runs(data[tile.offset :], image.width, image.height, halves=halves)
    return rows if direction > 0 else rows[::-1]


def packing(image: ImageFile.ImageFile) -> tuple[int, ...] | None:
    """How many bits each sample has, where they are fewer than 8 in colours."""
    arguments = image.tile[0].args if image.format == "BMP" and image.tile else ()
    return _BITS.get(arguments[0]) if isinstance(arguments, tuple) and arguments else None


def rounded_levels(bits_of_colours: tuple[int, ...]) -> list[int]:
    """The nearest of 256 levels for each that Pillow gives, which rounds samples down."""
    table: list[int] = []
    for bits in bits_of_colours:
        white, levels = 2**bits - 1, [0] * 256
        for sample in range(white + 1):
            levels[sample * 255 // white] = (510 * sample + white) // (2 * white)
        table += levels
    return table


def _number(data: bytes, start: int, length: int) -> int:
    return int.from_bytes(data[start : start + length], "little")
