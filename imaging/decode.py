"""From the bytes of an image file to pixels; whatever is not one plain still image is refused."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from imaging.formats import jpeg, pillow, png, tiff
from imaging.formats.accepted import ACCEPTED
from imaging.formats.errors import ImageError, broken, too_large

__all__ = ["ImageError", "decode"]


def decode(
    data: bytes,
    channels: Literal[1, 3],
    *,
    max_pixels: int = 2**26,
    white_level: int | None = None,
) -> NDArray[np.uint8]:
    """Decode a PNG, JPEG, WebP, TIFF or BMP file.

    The orientation that the file states is applied, transparent pixels are laid on black, samples
    of other depths are scaled to 8 bits with one rounding, and palettes and other colour models
    become grey or RGB. Colour profiles are not applied.

    Parameters
    ----------
    data
        The file.
    channels
        1 for grey, 3 for RGB.
    max_pixels
        The largest size accepted. It is read from the header, before any pixel is decoded.
    white_level
        The sample that is white in images of more than 8 bits whose file does not state its own
        depth, such as 4095 for a camera of 12 bits; by default the largest one of their depth.

    Returns
    -------
    uint8 [channels, H, W], which may be read only

    Raises
    ------
    ImageError
        If the file is empty, of another format, too large, broken or animated, or if its samples
        have a layout that would not be read right, or lie above the white level.
    """
    if not data:
        raise ImageError("empty", f"The image is empty; {ACCEPTED} is accepted.")
    try:
        if data.startswith(png.SIGNATURE):
            return png.decode(data, channels, max_pixels, white_level)
        if data.startswith(jpeg.SIGNATURE):
            return jpeg.decode(data, channels, max_pixels)
        if data.startswith(tiff.SIGNATURES):
            return tiff.decode(data, channels, max_pixels, white_level)
        return pillow.decode(data, channels, max_pixels)
    except (ImageError, MemoryError):
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise too_large(max_pixels) from None
    except Exception as error:  # decoders of damaged files raise nearly anything
        raise broken(error) from error
