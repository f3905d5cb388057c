"""Bands around curves over angles, measured on the same images at every angle.

What two angles say of one image hangs together, but at one angle the images are independent. A band
covers the whole curve at once.
"""

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from artifact.values import Interval
from audit.statistics import special
from audit.statistics.binomial import clopper_pearson
from audit.statistics.resampling import drawn_in_a_tail

RESAMPLES: Final = 1000


def agreement_band(agrees: NDArray[np.bool_], confidence: float) -> tuple[Interval, ...]:
    """Intervals of the part of all images that agree, one an angle, that hold all at once.

    Clopper-Pearson intervals at a level that adds up by Bonferroni: they hold for any number of
    images and however the angles hang together. A bootstrap of whole images that chose the level
    made narrower bands, which held for 90 % where 95 % was stated and few images ever disagreed.

    Parameters
    ----------
    agrees : bool [A, N]
        For A angles and N images.
    """
    angles, images = agrees.shape
    each = 1 - (1 - confidence) / angles
    return tuple(clopper_pearson(int(k), images, each) for k in agrees.sum(axis=1))


def mean_band(
    values: NDArray[np.float64], confidence: float, *, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Low and high ends, float64 [A] each, of the mean curve of values float64 [A, N].

    It is images that are drawn again, each with its whole curve: a cluster bootstrap of the largest
    studentised distance over all angles. It holds as N grows, not for each N as `agreement_band`
    does; how well, `python -m benchmarks.coverage` prints. Where no draw lies beyond so much
    confidence, the band is at least as wide as Student's by Bonferroni.

    References
    ----------
    A. C. Davison and D. V. Hinkley, Bootstrap Methods and their Application (1997), section 3.8 for
    clusters and 5.2 for studentised intervals.
    """
    images = values.shape[1]
    mean = values.mean(axis=1)
    centred = values - mean[:, None]
    error = np.sqrt((centred**2).mean(axis=1) / images)
    weights = _weights(images, seed) / images
    moved = weights @ centred.T
    spread = np.sqrt(np.maximum(weights @ (centred**2).T - moved**2, 0) / images)
    # Where all drawn images are alike there is no spread, and no distance either.
    distance = np.divide(np.abs(moved), spread, out=np.zeros_like(moved), where=spread > 0)
    reach = np.quantile(distance.max(axis=1), confidence, method="higher") * error
    if not drawn_in_a_tail(1 - confidence, RESAMPLES):
        tail = (1 - confidence) / (2 * len(values))
        reach = np.maximum(reach, -special.stdtrit(max(1, images - 1), tail) * error)
    return mean - reach, mean + reach


@lru_cache(maxsize=1)
def _weights(images: int, seed: int) -> NDArray[np.float64]:
    """How often each image is drawn, float64 [RESAMPLES, N]."""
    random = np.random.default_rng(seed)
    even = np.full(images, 1 / images)
    return random.multinomial(images, even, RESAMPLES).astype(np.float64)
