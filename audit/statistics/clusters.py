"""Intervals of a proportion of images where several were taken of one thing."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import stdtrit

from audit.statistics.binomial import Interval, beta_interval


def korn_graubard(
    successes: NDArray[np.bool_], clusters: NDArray[np.int64], confidence: float
) -> Interval:
    """The interval of the part of images that succeed, where clusters of them were drawn.

    Clopper-Pearson's with the effective number of images: that of as many independent ones as would
    be as certain, by the variance between clusters, and less by the few degrees of freedom that
    this variance is known with. Where all images or none succeed, that variance says nothing, and
    each cluster counts as one image. A single cluster says nothing at all.

    Parameters
    ----------
    successes : bool [N]
    clusters : int64 [N]
        Images with equal numbers are of one cluster.

    References
    ----------
    E. L. Korn and B. I. Graubard, Survey Methodology 24 (1998) 193, for the interval; W. G.
    Cochran, Sampling Techniques (1977), equation 11.30 with 10.1, for the variance of a ratio over
    clusters of unequal sizes.
    """
    count, rate = len(successes), float(successes.mean())
    sizes = np.unique(clusters, return_inverse=True)[1].reshape(-1)
    units = int(sizes.max()) + 1
    if units == 1:
        return Interval(0.0, 1.0)
    if rate in (0.0, 1.0):
        return beta_interval(rate * units, units, confidence)
    residual = np.bincount(sizes, weights=successes - rate)
    variance = units / (units - 1) * float((residual**2).sum()) / count**2
    tail = (1 - confidence) / 2
    known = float(stdtrit(count - 1, tail) / stdtrit(units - 1, tail)) ** 2
    effective = (
        min(float(count), rate * (1 - rate) / variance * known) if variance else float(count)
    )
    return beta_interval(rate * effective, effective, confidence)
