"""Whether a model that says 90 % is right in 90 of 100 cases."""

from collections.abc import Callable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audit.evaluation.probabilities import Probabilities
from audit.evaluation.schema import Bin, Calibration, Rate

BINS: Final = 15

Rated = Callable[[NDArray[np.bool_], NDArray[np.bool_]], Rate | None]
"""The part of the images of a choice, bool [N], that succeed, bool [N]; None if none is chosen."""


def calibration(found: Probabilities, expected: NDArray[np.int64], rated: Rated) -> Calibration:
    """Gather images with labels int64 [N] by their largest probability; see `Calibration`.

    References
    ----------
    C. Guo, G. Pleiss, Y. Sun and K. Q. Weinberger, ICML 2017, section 2; G. W. Brier, Monthly
    Weather Review 78 (1950) 1, equation 2.
    """
    rows = np.arange(len(expected))
    given, right = found.values[rows, found.labels], found.labels == expected
    edges = np.arange(BINS + 1) / BINS
    places = np.clip(np.searchsorted(edges, given, side="left") - 1, 0, BINS - 1)
    bins = []
    for place in range(BINS):
        inside = places == place
        rate = rated(right, inside)
        if rate is not None:
            low, high = float(edges[place]), float(edges[place + 1])
            mean = float(given[inside].mean())
            bins.append(Bin(low=low, high=high, probability=mean, right=rate))
    distances = [each.right.total * abs(each.right.rate - each.probability) for each in bins]
    target = np.zeros_like(found.values)
    target[rows, expected] = 1
    logs = found.logs[rows, expected]
    return Calibration(
        binning=f"{BINS} bins of equal width of the largest probability",
        bins=tuple(bins),
        expected_error=sum(distances) / len(expected),
        mean_probability=float(given.mean()),
        brier_score=float(((found.values - target) ** 2).sum(axis=1).mean()),
        negative_log_likelihood=float(-logs.mean()) if np.isfinite(logs).all() else None,
    )
