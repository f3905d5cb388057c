"""How far answers are from one another, in the one measure of audits, shadow audits and reports."""

from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

_Deviation = TypeVar("_Deviation", float, NDArray[np.float64])


def largest_logit(*logits: NDArray[np.floating]) -> float:
    """Largest magnitude of a logit in answers that are compared; NaN if one is.

    An audit compares its answers to all images, rotated and upright: a deviation is relative to
    the largest logit of all of them, not to that of its own image. A shadow audit compares the
    two answers to one image.
    """
    return max((float(np.abs(each).max()) for each in logits), key=_nan_last)


def relative(deviation: _Deviation, largest: float) -> _Deviation:
    """A deviation of logits as a part of `largest_logit`; 0 where that is 0."""
    return deviation / largest if largest > 0 else deviation


def unexplained_by_constants(logits: NDArray[np.floating]) -> float:
    """Largest distance of a logit from the upright image's, as a part of what logits vary by.

    A class that has nearly the same huge logit for every image, as one that is masked out, makes
    any deviation small beside the largest logit. What logits vary by is half of the distance from
    the smallest to the largest logit of one class, of the class with the longest such distance.
    Steps of a float32 of a logit's own size are its rounding, and no deviation.

    Parameters
    ----------
    logits : [G, N, K]
        Of N images under G elements, the upright ones first.
    """
    lows, highs = logits.min(axis=(0, 1)), logits.max(axis=(0, 1))
    varies = float((highs.astype(np.float64) - lows).max()) / 2
    steps = np.spacing(np.maximum(np.abs(lows), np.abs(highs)).astype(np.float32))
    upright, moved = logits[0].astype(np.float64), 0.0
    for each in logits:
        by = np.abs(each - upright)
        moved = max(moved, float(by[by > _STEPS * steps].max(initial=0.0)))
    return relative(moved, varies)


_STEPS: Final = 4
"""How many steps of a float32 a logit may move by the rounding of its last few operations."""


def _nan_last(value: float) -> tuple[bool, float]:
    return value != value, value
