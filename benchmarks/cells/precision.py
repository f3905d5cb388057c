"""The average precision of scores, with an interval."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from audit.statistics.resampling import Weights, bootstrap_intervals, drawn_together


def average_precision(
    scores: NDArray[np.float64],
    expected: NDArray[np.int64],
    units: NDArray[np.int64] | None,
    confidence: float,
) -> list[float]:
    """The mean, over images of class 1, of the precision among those with as high a score.

    Parameters
    ----------
    scores : float64 [N]
        The higher, the more likely class 1.
    expected : int64 [N]
    units : int64 [N], or None
        What images were taken of, drawn together; every image by itself if None.

    Returns
    -------
    list of float
        The value, and the ends of its interval where these images have one.

    References
    ----------
    C. D. Manning, P. Raghavan and H. Schütze, Introduction to Information Retrieval (2008), 8.4.
    """
    of, count = drawn_together(units, len(expected))
    values, places = np.unique(-scores, return_inverse=True)  # the highest first
    shape = (count, len(values))
    shown = csr_array((expected, (of, places)), shape)
    there = csr_array((np.ones_like(expected), (of, places)), shape)
    average = _average(shown, there)
    (interval,) = bootstrap_intervals(average, count, confidence)
    value = float(average(np.ones((1, count), np.int64))[0, 0])
    return [value, *([interval.low, interval.high] if interval else [])]


def _average(shown: csr_array, there: csr_array) -> Callable[[Weights], NDArray[np.float64]]:
    def average(weights: Weights) -> NDArray[np.float64]:
        right, images = weights @ shown, weights @ there
        precision = np.cumsum(right, axis=1) / np.maximum(np.cumsum(images, axis=1), 1)
        total = right.sum(axis=1)
        out: NDArray[np.float64] = np.full((len(weights), 1), np.nan)
        summed = (right * precision).sum(axis=1)
        out[total > 0, 0] = summed[total > 0] / total[total > 0]
        return out

    return average
