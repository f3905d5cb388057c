"""How a viewer rotates the stored pixels, by EXIF orientation (EXIF 2.32, table 6)."""

import re
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image

from imaging.symmetries import GridSymmetry

_SHOWN: Final = {
    2: GridSymmetry(True, 0),
    3: GridSymmetry(False, 2),
    4: GridSymmetry(True, 2),
    5: GridSymmetry(True, 1),
    6: GridSymmetry(False, 3),
    7: GridSymmetry(True, 3),
    8: GridSymmetry(False, 1),
}
_XMP: Final = re.compile(rb"tiff:Orientation(?:\s*=\s*[\"']|\s*>\s*)([0-9])")


def upright(pixels: NDArray[np.uint8], *stated: int | None) -> NDArray[np.uint8]:
    """Pixels [C, H, W] as a viewer shows them.

    Parameters
    ----------
    stated
        What each part of the file states, or None where it states nothing: the first one counts,
        and a number that EXIF does not know changes nothing.
    """
    orientation = next((each for each in stated if each is not None), 1)
    shown = _SHOWN.get(orientation)
    return pixels if shown is None else np.ascontiguousarray(shown(pixels))


def exif_orientation(exif: bytes) -> int | None:
    """The orientation in a block of EXIF, with or without `Exif\\0\\0` in front; None if none."""
    tags = Image.Exif()
    try:
        tags.load(exif)
        orientation = tags.get(ExifTags.Base.Orientation)
    except Exception:  # a camera's damaged notes are no reason to refuse its pixels
        return None
    return orientation if isinstance(orientation, int) else None


def xmp_orientation(xmp: bytes) -> int | None:
    """The orientation in a packet of XMP; None if none."""
    found = _XMP.search(xmp)
    return int(found[1]) if found else None
