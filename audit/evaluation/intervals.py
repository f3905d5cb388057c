"""Intervals of figures that are no part of the images: F1, mean recall, the area under the ROC."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array

from artifact.values import Interval
from audit.evaluation.schema import Rate
from audit.statistics.resampling import MOST, Weights, bootstrap_intervals, drawn_together

_Numbers = NDArray[np.int64] | NDArray[np.float64]


def f1_interval(jaccard: Rate | None) -> Interval | None:
    """The interval of a class's F1, as exact as that of its Jaccard index J: F1 = 2 J / (1 + J).

    J is the part of the images that show the class or are labelled so which do both, a proportion
    like recall, and F1 grows with it, so that the ends of its interval are those of J's.

    References
    ----------
    C. J. van Rijsbergen, Information Retrieval (1979), chapter 7, for E = 1 - F1 and sets.
    """
    if jaccard is None:
        return None
    low, high = (2 * end / (1 + end) for end in (jaccard.interval.low, jaccard.interval.high))
    return Interval(low, high)


@dataclass(frozen=True)
class MeanIntervals:
    """Of the mean recall and the macro F1; None where these images say nothing of either."""

    recall: Interval | None
    f1: Interval | None


def class_mean_intervals(
    expected: NDArray[np.int64],
    answered: NDArray[np.int64],
    classes: int,
    units: NDArray[np.int64] | None,
    confidence: float,
) -> MeanIntervals:
    """Bootstrap the means over classes, from what images show and what is answered, int64 [N].

    Parameters
    ----------
    units : int64 [N], or None
        What images were taken of, drawn together; every image by itself if None.
    """
    of, count = drawn_together(units, len(expected))
    hits, shape = expected == answered, (count, classes)
    shown, labelled = _counted(of, expected, shape), _counted(of, answered, shape)
    right = _counted(of[hits], expected[hits], shape)

    def means(weights: Weights) -> NDArray[np.float64]:
        hit, due, given = weights @ right, weights @ shown, weights @ labelled
        return np.stack([_mean_ratio(hit, due), _mean_ratio(2 * hit, due + given)], axis=1)

    return MeanIntervals(*bootstrap_intervals(means, count, confidence))


def roc_auc_interval(
    scores: NDArray[np.float64],
    expected: NDArray[np.int64],
    units: NDArray[np.int64] | None,
    confidence: float,
) -> Interval | None:
    """Bootstrap the area under the ROC curve, from scores, float64 [N], of classes 0 and 1, [N]."""
    of, count = drawn_together(units, len(expected))
    _, places = np.unique(scores, return_inverse=True)
    levels = int(places.max()) + 1
    if levels > MOST:  # neighbours of so many are told apart by no interval
        places, levels = places * MOST // levels, MOST
    ones, zeros = (
        _counted(of[expected == k], places[expected == k], (count, levels)) for k in (1, 0)
    )
    return bootstrap_intervals(_area(ones, zeros), count, confidence)[0]


def _area(ones: csr_array, zeros: csr_array) -> Callable[[Weights], NDArray[np.float64]]:
    def area(weights: Weights) -> NDArray[np.float64]:
        above, below = weights @ ones, weights @ zeros
        won = above * (np.cumsum(below, axis=1) - below / 2)
        pairs = above.sum(axis=1) * below.sum(axis=1)
        return _ratio(won.sum(axis=1), pairs)[:, np.newaxis]

    return area


def _counted(
    units: NDArray[np.int64], columns: NDArray[np.int64], shape: tuple[int, int]
) -> csr_array:
    """How many images of each unit are in each column: int64 [U, K], mostly zeros."""
    return csr_array((np.ones(len(units), np.int64), (units, columns)), shape)


def _mean_ratio(part: NDArray[np.int64], whole: NDArray[np.int64]) -> NDArray[np.float64]:
    """The mean over classes, [B, K] to [B], of those that there is anything of."""
    there = whole > 0
    return _ratio(_ratio(part, whole, nothing=0.0).sum(axis=1), there.sum(axis=1))


def _ratio(part: _Numbers, whole: _Numbers, nothing: float = np.nan) -> NDArray[np.float64]:
    out: NDArray[np.float64] = np.full(whole.shape, nothing)
    return np.divide(part, whole, out=out, where=whole > 0)
