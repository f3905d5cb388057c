"""From probabilities and labels to the figures of an evaluation."""

from functools import partial
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audit.evaluation.calibration import calibration
from audit.evaluation.intervals import class_mean_intervals, f1_interval, roc_auc_interval
from audit.evaluation.probabilities import Probabilities
from audit.evaluation.schema import ClassFigures, Confusion, EvaluationFigures, Rate, TopK
from audit.statistics import clopper_pearson, cluster_interval

_TOP: Final = (2, 3, 5)


def evaluation_figures(
    found: Probabilities,
    expected: NDArray[np.int64],
    confidence: float,
    units: NDArray[np.int64] | None = None,
) -> EvaluationFigures:
    """Measure answers against what the images show, int64 [N].

    Parameters
    ----------
    units : int64 [N], or None
        What images were taken of: equal numbers, one thing, and intervals are wider for it. Every
        image is drawn by itself if None.
    """
    rated = partial(rate, confidence=confidence, units=units)
    count, classes = found.values.shape
    everything = np.ones(count, np.bool_)
    table = confusion(expected, found.labels, classes)
    by_class = tuple(
        ClassFigures(
            label=k,
            shown=(shown := int(table[k].sum())),
            answered=(answered := int(table[:, k].sum())),
            right=(right := int(table[k, k])),
            recall=rated(found.labels == k, expected == k),
            precision=rated(expected == k, found.labels == k),
            f1=2 * right / (shown + answered) if shown + answered else None,
            f1_interval=f1_interval(
                rated((found.labels == k) & (expected == k), (found.labels == k) | (expected == k))
            ),
        )
        for k in range(classes)
    )
    ranks = found.ranks[np.arange(count), expected]
    recalls = [each.recall.rate for each in by_class if each.recall is not None]
    scores = [each.f1 for each in by_class if each.f1 is not None]
    accuracy = rated(found.labels == expected, everything)
    assert accuracy is not None  # noqa: S101 -- there are images
    means = class_mean_intervals(expected, found.labels, classes, units, confidence)
    area = roc_auc(found.logs, expected) if classes == 2 else None
    return EvaluationFigures(
        accuracy=accuracy,
        balanced_accuracy=float(np.mean(recalls)),
        balanced_accuracy_interval=means.recall,
        macro_f1=float(np.mean(scores)),
        macro_f1_interval=means.f1,
        top_k=tuple(
            TopK(k=k, rate=within)
            for k in _TOP
            if k < classes and (within := rated(ranks <= k, everything)) is not None
        ),
        roc_auc=area,
        roc_auc_interval=None
        if area is None
        else roc_auc_interval(_scores(found.logs), expected, units, confidence),
        classes=by_class,
        confusion=tuple(
            Confusion(expected=int(i), answered=int(j), images=int(table[i, j]))
            for i, j in np.argwhere(table)
        ),
        calibration=calibration(found, expected, rated),
    )


def rate(
    successes: NDArray[np.bool_],
    chosen: NDArray[np.bool_],
    *,
    confidence: float,
    units: NDArray[np.int64] | None = None,
) -> Rate | None:
    """The part of the chosen images, bool [N], that succeed, bool [N]; None if none is chosen."""
    total, count = int(chosen.sum()), int((successes & chosen).sum())
    if not total:
        return None
    interval = (
        clopper_pearson(count, total, confidence)
        if units is None
        else cluster_interval(successes[chosen], units[chosen], confidence)
    )
    return Rate(count=count, total=total, rate=count / total, interval=interval)


def confusion(
    expected: NDArray[np.int64], answered: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """Count images by what they show and what is answered: from two int64 [N] to int64 [K, K]."""
    pairs = np.bincount(expected * classes + answered, minlength=classes**2)
    return pairs.reshape(classes, classes)


def roc_auc(logs: NDArray[np.float64], expected: NDArray[np.int64]) -> float | None:
    """The area under the ROC curve of two classes; None unless both are shown.

    The statistic of Mann and Whitney over the numbers of pairs, with mean ranks of equal scores.

    References
    ----------
    J. A. Hanley and B. J. McNeil, Radiology 143 (1982) 29.

    Parameters
    ----------
    logs : float64 [N, 2]
    expected : int64 [N]
    """
    ones = int(expected.sum())
    zeros = len(expected) - ones
    if not ones or not zeros:
        return None
    _, places, equal = np.unique(_scores(logs), return_inverse=True, return_counts=True)
    ranks = (np.cumsum(equal) - (equal - 1) / 2)[places]
    return float((ranks[expected == 1].sum() - ones * (ones + 1) / 2) / (ones * zeros))


def _scores(logs: NDArray[np.float64]) -> NDArray[np.float64]:
    """A difference of logarithms tells apart what probabilities near 1 no longer do."""
    return logs[:, 1] - logs[:, 0]
