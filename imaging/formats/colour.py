"""From samples of any depth to grey or RGB of 8 bits, with one rounding at the end.

Every formula is a fraction of integers, so that nothing is rounded before. With `M` the white level
of the samples: grey is `v / M`; a pixel of alpha `a` laid on black is `v a / (M A)`, with `A` the
alpha of what is opaque; red of CMYK is
`(M - c)(M - k) / M^2`; and the grey of RGB is `(19595 r + 38470 g + 7471 b) / (2^16 M)`, which are
the weights of ITU-R BT.601 as Pillow rounds them. The 8-bit level is the nearest one.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imaging.formats.errors import ImageError
from imaging.refusal import RefusedError

Model = Literal["grey", "inverted-grey", "rgb", "cmyk"]
Samples = NDArray[np.uint8] | NDArray[np.uint16]

COLOURS: Final[dict[Model, int]] = {"grey": 1, "inverted-grey": 1, "rgb": 3, "cmyk": 4}

LEAST_WHITE: Final = 2**8
MOST_WHITE: Final = 2**16 - 1
"""A white level is said of samples of 9 to 16 bits; those of 8 have 255."""

_LUMA: Final = (19595, 38470, 7471)
_LUMA_UNIT: Final = 2**16
# Rows are converted in blocks of about so many samples, which stay in a core's cache.
_BLOCK: Final = 2**17


@dataclass(frozen=True)
class Pixels:
    """Samples, and what they mean.

    Attributes
    ----------
    samples : uint8 or uint16 [H, W, S]
        Colours first, as many as `COLOURS` says; others may follow.
    model
        What the colours are.
    white
        The sample that stands for full intensity: 255, 4095, 65535, ...
    alpha
        The index of the sample by which the colours are still to be multiplied.
    opaque
        The alpha that stands for opaque; None for the white level.
    """

    samples: Samples
    model: Model
    white: int
    alpha: int | None = None
    opaque: int | None = None

    def unit(self, channels: Literal[1, 3]) -> int:
        """The numerator of full intensity, over which that of a sample is a fraction."""
        unit = self.white**2 if self.model == "cmyk" else self.white
        if self.alpha is not None:
            unit *= self.opaque or self.white
        return unit if channels == 3 or COLOURS[self.model] == 1 else unit * _LUMA_UNIT


def check_white_level(level: int | None) -> None:
    """Refuse a white level that no samples have."""
    if level is not None and not LEAST_WHITE <= level <= MOST_WHITE:
        raise RefusedError(
            f"The white level is {level}; {LEAST_WHITE} to {MOST_WHITE} are accepted."
        )


def check_white(samples: Samples, white: int, bits: int) -> None:
    """Refuse samples above a white level that is lower than the largest sample of their depth."""
    if white < 2**bits - 1 and int(samples.max()) > white:
        raise ImageError(
            "unknown-format",
            f"By its file or the model's card the image has a white level of {white}, and samples "
            f"up to {samples.max()}; samples up to the white level are accepted.",
        )


def eight_bits(pixels: Pixels, channels: Literal[1, 3]) -> NDArray[np.uint8]:
    """Convert to grey or RGB on black, uint8 [channels, H, W]."""
    height, width, count = pixels.samples.shape
    if pixels.white == 255 and pixels.model in ("grey", "rgb") and pixels.alpha is None:
        return _from_eight_bits(pixels.samples[..., : COLOURS[pixels.model]], channels)
    result = np.empty((channels, height, width), np.uint8)
    rows = max(1, _BLOCK // (width * count))
    # All numerators stay below 2^58, and most below 2^32, which takes half the time.
    dtype = np.uint32 if 511 * pixels.unit(channels) < 2**32 else np.int64
    for top in range(0, height, rows):
        block = np.moveaxis(pixels.samples[top : top + rows], -1, 0).astype(dtype, order="C")
        result[:, top : top + rows] = _convert(block, pixels, channels)
    return result


def interleaved_to_planes(image: Image.Image, channels: Literal[1, 3]) -> NDArray[np.uint8]:
    """The pixels of an image of 8-bit samples, uint8 [channels, H, W], converted by Pillow."""
    mode = "L" if channels == 1 else "RGB"
    if image.mode != mode:
        image = image.convert(mode)
    # Not `np.asarray(image)`, which copies twice.
    pixels = np.frombuffer(image.tobytes(), np.uint8).reshape(image.height, image.width, channels)
    if channels == 1:
        return pixels.reshape(1, image.height, image.width)
    return np.ascontiguousarray(np.moveaxis(pixels, -1, 0))


def _from_eight_bits(samples: Samples, channels: Literal[1, 3]) -> NDArray[np.uint8]:
    levels = samples.astype(np.uint8, copy=False)
    if levels.shape[2] == 1:
        return np.repeat(levels[None, ..., 0], channels, axis=0)
    if channels == 1:
        return interleaved_to_planes(Image.fromarray(np.ascontiguousarray(levels)), 1)
    return np.ascontiguousarray(np.moveaxis(levels, -1, 0))


def _convert(block: NDArray[Any], pixels: Pixels, channels: Literal[1, 3]) -> NDArray[Any]:
    """Levels [1 or 3, rows, W] of samples [S, rows, W]."""
    white, unit = pixels.white, pixels.unit(channels)
    match pixels.model:
        case "grey":
            colours = block[:1]
        case "inverted-grey":
            colours = white - block[:1]
        case "rgb":
            colours = block[:3]
        case "cmyk":
            colours = (white - block[:3]) * (white - block[3])
    if channels == 1 and len(colours) == 3:
        red, green, blue = (weight * colour for weight, colour in zip(_LUMA, colours, strict=True))
        colours = (red + green + blue)[None]
    if pixels.alpha is not None:
        colours = colours * block[pixels.alpha]
    levels = colours * 510
    levels += unit
    levels //= 2 * unit
    return levels
