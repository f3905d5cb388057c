"""The formats that Pillow reads right by itself: WebP and BMP."""

import io
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, ImageOps, UnidentifiedImageError

from imaging.formats.accepted import ACCEPTED
from imaging.formats.colour import Pixels, eight_bits, interleaved_to_planes
from imaging.formats.errors import ImageError, broken, check_size, several_frames

_FORMATS: Final = ("WEBP", "BMP")
# Modes whose samples have a range that is known, so that a conversion to 8 bits has a meaning.
_MODES: Final = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX"})

_UNREAD: Final = "Unsupported BMP"
"""What Pillow says first of a whole file that it does not read."""

_BITS: Final = {"BGR;15": (5, 5, 5), "BGR;16": (5, 6, 5)}
"""Of red, green and blue in a BMP of 16 bits a pixel, by Pillow's name of how they are packed."""


def decode(data: bytes, channels: Literal[1, 3], max_pixels: int) -> NDArray[np.uint8]:
    """Decode a WebP or BMP file, uint8 [channels, H, W]."""
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError:
        message = f"The file is not an image of a known format; {ACCEPTED} is accepted."
        raise ImageError("unknown-format", message) from None
    except OSError as error:
        what = str(error).partition(_UNREAD)[2]
        if not what:
            raise
        message = (
            f"The BMP has a layout that is not read ({what.strip()}); 1, 4, 8, 24 or 32 bits a "
            "pixel, and 16 of them as 5, 5 and 5 or 5, 6 and 5, are accepted."
        )
        raise ImageError("unknown-format", message) from None
    with image:
        check_size(image.width, image.height, max_pixels)
        if getattr(image, "is_animated", False):
            raise several_frames()
        if image.mode not in _MODES:
            message = f"The samples are of kind {image.mode!r}; 8-bit ones are accepted."
            raise ImageError("unknown-format", message)
        packing = _packing(image)
        image.load()
        picture = image if packing is None else image.point(_rounded_levels(packing))
        _check_palette(picture)
        ImageOps.exif_transpose(picture, in_place=True)
        if not picture.has_transparency_data:
            return interleaved_to_planes(picture, channels)
        return eight_bits(Pixels(np.asarray(picture.convert("RGBA")), "rgb", 255, 3), channels)


def _packing(image: ImageFile.ImageFile) -> tuple[int, ...] | None:
    """How many bits each sample has, where they are fewer than 8 in colours."""
    arguments = image.tile[0].args if image.format == "BMP" and image.tile else ()
    return _BITS.get(arguments[0]) if isinstance(arguments, tuple) and arguments else None


def _rounded_levels(packing: tuple[int, ...]) -> list[int]:
    """The nearest of 256 levels for each that Pillow gives, which rounds samples down."""
    table: list[int] = []
    for bits in packing:
        white, levels = 2**bits - 1, [0] * 256
        for sample in range(white + 1):
            levels[sample * 255 // white] = (510 * sample + white) // (2 * white)
        table += levels
    return table


def _check_palette(image: Image.Image) -> None:
    """Refuse a pixel whose colour the palette lacks, which Pillow shows as black."""
    palette = image.palette if image.mode == "P" else None
    if palette is not None and int(np.asarray(image).max()) >= len(palette.palette) // 3:
        raise broken("a pixel has a colour that its palette lacks")
