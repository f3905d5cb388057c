"""Ground floor: decode images, fit them to a model's input, rotate them exactly or by any angle."""

from imaging.angle_intervals import AngleIntervals, nearest_intervals
from imaging.damping import damp
from imaging.decode import ImageError, decode
from imaging.fit import FitPolicy, fit
from imaging.formats.accepted import IMAGE_SUFFIXES
from imaging.formats.colour import LEAST_WHITE, MOST_WHITE, check_white_level
from imaging.picture import png
from imaging.refusal import RefusedError
from imaging.resample import Method, Resampler, inside_disc, keep_disc, rotate_images
from imaging.symmetries import (
    GridSymmetry,
    check_grid,
    grid_rotations,
    grid_symmetries,
    read_group,
)

__all__ = [
    "IMAGE_SUFFIXES",
    "LEAST_WHITE",
    "MOST_WHITE",
    "AngleIntervals",
    "FitPolicy",
    "GridSymmetry",
    "ImageError",
    "Method",
    "RefusedError",
    "Resampler",
    "check_grid",
    "check_white_level",
    "damp",
    "decode",
    "fit",
    "grid_rotations",
    "grid_symmetries",
    "inside_disc",
    "keep_disc",
    "nearest_intervals",
    "png",
    "read_group",
    "rotate_images",
]
