"""The formats that Pillow reads right by itself: WebP and BMP."""

import io
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError

from imaging.formats.accepted import ACCEPTED
from imaging.formats.colour import Pixels, eight_bits, interleaved_to_planes
from imaging.formats.errors import ImageError, check_size, several_frames

_FORMATS: Final = ("WEBP", "BMP")
# Modes whose samples have a range that is known, so that a conversion to 8 bits has a meaning.
_MODES: Final = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX"})


def decode(data: bytes, channels: Literal[1, 3], max_pixels: int) -> NDArray[np.uint8]:
    """Decode a WebP or BMP file, uint8 [channels, H, W]."""
    try:
        image = Image.open(io.BytesIO(data), formats=_FORMATS)
    except UnidentifiedImageError:
        message = f"The file is not an image of a known format; {ACCEPTED} is accepted."
        raise ImageError("unknown-format", message) from None
    with image:
        check_size(image.width, image.height, max_pixels)
        if getattr(image, "is_animated", False):
            raise several_frames()
        if image.mode not in _MODES:
            message = f"The samples are of kind {image.mode!r}; 8-bit ones are accepted."
            raise ImageError("unknown-format", message)
        image.load()
        ImageOps.exif_transpose(image, in_place=True)
        if not image.has_transparency_data:
            return interleaved_to_planes(image, channels)
        return eight_bits(Pixels(np.asarray(image.convert("RGBA")), "rgb", 255, 3), channels)
