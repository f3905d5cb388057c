"""How far answers are from one another, in the one measure of audits, shadow audits and reports."""

from typing import TypeVar

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


def _nan_last(value: float) -> tuple[bool, float]:
    return value != value, value
