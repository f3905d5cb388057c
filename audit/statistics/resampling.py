"""A bootstrap of figures that are no mean: units are drawn again, each with all of its images."""

from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from artifact.values import Interval

RESAMPLES: Final = 1999
_AT_ONCE: Final = 2**22
MOST: Final = 4096
_FEWEST: Final = 0.95
_ROUNDING: Final = 1e-12

Weights = NDArray[np.int64]
"""How often each unit was drawn: int64 [B, U], each row adding up to U."""


def bootstrap_intervals(
    figures: Callable[[Weights], NDArray[np.float64]],
    units: int,
    confidence: float,
    *,
    seed: int = 0,
) -> list[Interval | None]:
    """The intervals of F figures by the percentiles of what they are of units drawn again.

    They hold with the confidence as units grow in number, and of what these show alone: near the
    largest value that a figure can have, they are too narrow. Where no draw gives another value
    than the others, as where no image got a wrong label, there is none; nor is there where more
    than one in twenty draws have no value, or where so much confidence has no draw
    beyond it.

    Parameters
    ----------
    figures
        From the weights of draws, [B, U], to float64 [B, F], NaN where one has no value.
    units
        U: images, or clusters of them.

    References
    ----------
    B. Efron and R. J. Tibshirani, An Introduction to the Bootstrap (1993), section 13.3.
    """
    drawn = np.concatenate([figures(weights) for weights in _draws(units, seed)])
    return [_percentiles(values, confidence) for values in drawn.T]


def drawn_together(
    units: NDArray[np.int64] | None, images: int, *, seed: int = 0
) -> tuple[NDArray[np.int64], int]:
    """Number what is drawn: the unit of each image, int64 [N], and how many there are.

    Units are images where none are given. More than 4,096 of them are put together by lot, as many
    to each: drawing 4,096 lots tells the spread of a figure to about one part in a hundred, and
    takes no longer the more images there are.
    """
    if units is None:
        of, count = np.arange(images), images
    else:
        numbers, inverse = np.unique(units, return_inverse=True)
        of, count = inverse.reshape(-1), len(numbers)
    if count <= MOST:
        return of, count
    lots = np.random.default_rng(seed).permutation(count) % MOST
    return lots[of], MOST


def drawn_in_a_tail(probability: float, draws: int) -> int:
    """The place, from the end, of the draw at which a tail begins; 0 where it has none."""
    return int(probability * (draws + 1) * (1 + _ROUNDING))


def _percentiles(drawn: NDArray[np.float64], confidence: float) -> Interval | None:
    values = np.sort(drawn[~np.isnan(drawn)])
    if len(values) < _FEWEST * RESAMPLES or values[-1] - values[0] <= _ROUNDING:
        return None
    tail = drawn_in_a_tail((1 - confidence) / 2, len(values))
    if not tail:
        return None
    return Interval(float(values[tail - 1]), float(values[-tail]))


def _draws(units: int, seed: int) -> Iterator[Weights]:
    random, even = np.random.default_rng(seed), np.full(units, 1 / units)
    rows = max(1, _AT_ONCE // units)
    for start in range(0, RESAMPLES, rows):
        yield random.multinomial(units, even, min(rows, RESAMPLES - start))
