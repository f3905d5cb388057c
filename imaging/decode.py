"""From the bytes of an image file to pixels; whatever is not one plain still image is refused."""

import io
from contextlib import suppress
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps, UnidentifiedImageError
from PIL.PngImagePlugin import PngImageFile

from imaging.fit import MAX_SIDE
from imaging.refusal import RefusedError

Reason = Literal["empty", "unknown-format", "too-large", "broken", "animated"]

# What files of the formats below are called, in small letters.
IMAGE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp")

_FORMATS = ("PNG", "JPEG", "WEBP", "TIFF", "BMP")
_SIXTEEN_BIT = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})
# Modes whose samples have a range that is known, so that a conversion to 8 bits has a meaning.
_EIGHT_BIT = frozenset({"1", "L", "LA", "P", "PA", "RGB", "RGBA", "RGBX", "CMYK", "YCbCr"})
_KNOWN = _EIGHT_BIT | _SIXTEEN_BIT
_PNG = b"\x89PNG\r\n\x1a\n"


class ImageError(RefusedError):
    """The bytes are not an image that is accepted; `reason` names the kind of refusal."""

    def __init__(self, reason: Reason, message: str) -> None:
        super().__init__(message)
        self.reason: Reason = reason


def decode(data: bytes, channels: Literal[1, 3], *, max_pixels: int = 2**26) -> NDArray[np.uint8]:
    """Decode a PNG, JPEG, WebP, TIFF or BMP file.

    The EXIF orientation is applied, transparent pixels are laid on black, 16-bit grey is scaled to
    8 bits, and palettes and other colour models become grey or RGB.

    Parameters
    ----------
    data
        The file.
    channels
        1 for grey, 3 for RGB.
    max_pixels
        The largest size accepted. It is read from the header, before any pixel is decoded.

    Returns
    -------
    uint8 [channels, H, W], which may be read only

    Raises
    ------
    ImageError
        If the file is empty, of another format, too large, broken or animated.
    """
    if not data:
        raise ImageError("empty", f"The image is empty; {_accepted()} is accepted.")
    try:
        with _open(data) as image:
            _check_header(image, max_pixels)
            image.load()
            # A PNG without metadata says nothing of its orientation, and to ask would cost more.
            if image.info or image.format != "PNG":
                ImageOps.exif_transpose(image, in_place=True)
            return _pixels(image, channels)
    except (ImageError, MemoryError):
        raise
    except UnidentifiedImageError:
        message = f"The file is not an image of a known format; {_accepted()} is accepted."
        raise ImageError("unknown-format", message) from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise _too_large(max_pixels) from None
    except Exception as error:  # decoders of damaged files raise nearly anything
        message = f"The image is broken or cut off ({error}); a whole file is accepted."
        raise ImageError("broken", message) from error


def _open(data: bytes) -> Image.Image:
    if data.startswith(_PNG):
        # What finds out a file's format takes as long as reading the head of a small PNG.
        with suppress(Exception):
            return PngImageFile(io.BytesIO(data))
    return Image.open(io.BytesIO(data), formats=_FORMATS)


def _accepted() -> str:
    return "one still image as PNG, JPEG, WebP, TIFF or BMP"


def _too_large(max_pixels: int) -> ImageError:
    limits = f"at most {max_pixels} pixels, and {MAX_SIDE} along a side, are accepted"
    return ImageError("too-large", f"The image is too large; {limits}.")


def _check_header(image: Image.Image, max_pixels: int) -> None:
    if image.width * image.height > max_pixels or max(image.size) > MAX_SIDE:
        raise _too_large(max_pixels)
    # The further images of a multi-picture JPEG are a camera's previews of the first.
    if getattr(image, "is_animated", False) and image.format != "MPO":
        message = f"The file holds several frames; {_accepted()} is accepted."
        raise ImageError("animated", message)
    if image.mode not in _KNOWN:
        message = f"Samples of kind {image.mode!r} have no fixed range; 8 and 16 bits are accepted."
        raise ImageError("unknown-format", message)


def _pixels(image: Image.Image, channels: Literal[1, 3]) -> NDArray[np.uint8]:
    if image.mode in _SIXTEEN_BIT:
        return np.repeat(_eight_bits(image)[None], channels, axis=0)
    if image.has_transparency_data:
        image = _on_black(image.convert("RGBA"))
    mode = "L" if channels == 1 else "RGB"
    if image.mode != mode:
        image = image.convert(mode)
    # Not `np.asarray(image)`, which copies twice.
    pixels = np.frombuffer(image.tobytes(), np.uint8).reshape(image.height, image.width, channels)
    if channels == 1:
        return pixels.reshape(1, image.height, image.width)
    return np.ascontiguousarray(np.moveaxis(pixels, -1, 0))


def _eight_bits(image: Image.Image) -> NDArray[np.uint8]:
    """Scale 16-bit grey: 65535 = 257 * 255, so this is the nearest 8-bit level."""
    samples = np.asarray(image).astype(np.uint32)
    if image.has_transparency_data:
        samples[samples == image.info["transparency"]] = 0
    return ((samples + 128) // 257).astype(np.uint8)


def _on_black(image: Image.Image) -> Image.Image:
    canvas = Image.new("RGB", image.size)
    canvas.paste(image, mask=image)
    return canvas
