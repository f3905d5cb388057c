"""The formats of which Pillow reads nearly all right by itself: WebP and BMP."""

import io
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, UnidentifiedImageError

from imaging.formats import bmp
from imaging.formats.accepted import ACCEPTED
from imaging.formats.colour import Pixels, eight_bits, interleaved_to_planes
from imaging.formats.errors import ImageError, check_size, several_frames
from imaging.formats.orientation import exif_orientation, upright, xmp_orientation

_FORMATS: Final = ("WEBP", "BMP")
# Modes whose samples have a range that is known, so that a conversion to 8 bits has a meaning.
_MODES: Final = frozenset({"P", "RGB", "RGBA", "RGBX"})

_UNREAD: Final = "Unsupported BMP"
"""What Pillow says first of a whole file that it does not read."""


def decode(data: bytes, channels: Literal[1, 3], max_pixels: int) -> NDArray[np.uint8]:
    """Decode a WebP or BMP file, uint8 [channels, H, W]."""
    palette = bmp.read_palette(data)
    with _opened(data if palette is None else palette.kept_by_pillow(data)) as image:
        check_size(image.width, image.height, max_pixels)
        if getattr(image, "is_animated", False):
            raise several_frames()
        if image.mode not in _MODES:
            message = f"The samples are of kind {image.mode!r}; 8-bit ones are accepted."
            raise ImageError("unknown-format", message)
        if palette is not None:
            return palette.shown(bmp.read_indices(image, data), channels)
        packing = bmp.packing(image)
        image.load()
        picture = image if packing is None else image.point(bmp.rounded_levels(packing))
        exif, xmp = image.info.get("exif"), image.info.get("xmp")
        return upright(
            _planes(picture, channels),
            exif_orientation(exif) if exif else None,
            xmp_orientation(xmp) if xmp else None,
        )


def _opened(data: bytes) -> ImageFile.ImageFile:
    try:
        return Image.open(io.BytesIO(data), formats=_FORMATS)
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


def _planes(picture: Image.Image, channels: Literal[1, 3]) -> NDArray[np.uint8]:
    if not picture.has_transparency_data:
        return interleaved_to_planes(picture, channels)
    return eight_bits(Pixels(np.asarray(picture.convert("RGBA")), "rgb", 255, 3), channels)
