"""Ground floor: decode images, fit them to a model's input, turn them on the pixel grid."""

from imaging.decode import IMAGE_SUFFIXES, ImageError, decode
from imaging.fit import FitPolicy, fit
from imaging.rotate import GridSymmetry, grid_symmetries

__all__ = [
    "IMAGE_SUFFIXES",
    "FitPolicy",
    "GridSymmetry",
    "ImageError",
    "decode",
    "fit",
    "grid_symmetries",
]
