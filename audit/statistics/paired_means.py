"""Two models on the same units: how a mean differs, such as that of how far logits move."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from artifact.values import Interval
from audit.statistics.binomial import clopper_pearson
from audit.statistics.resampling import drawn_in_a_tail

RESAMPLES: Final = 1999
_AT_ONCE: Final = 2**22


def mean_interval(
    differences: NDArray[np.float64], confidence: float, *, seed: int = 0
) -> Interval:
    """How large the mean of differences, float64 [U], is at least and at most: a paired bootstrap.

    Units are drawn again, each with what it did with both models, and the mean is studentised. Each
    end holds with the confidence alone, as U grows, of what these units show: what is rare and
    large, and came with none of them, no bootstrap knows of; nor of tails that hold none of its
    draws, and there an end is where it would be if as many units moved as may. Where all
    differences are equal, both ends are theirs.

    References
    ----------
    A. C. Davison and D. V. Hinkley, Bootstrap Methods and their Application (1997), section 5.2.1.
    """
    count, mean = len(differences), float(differences.mean())
    centred = differences - mean
    error = float(np.sqrt((centred**2).mean() / count))
    if error <= 1e-12 * max(abs(mean), 1e-300):
        return Interval(mean, mean)
    random, even = np.random.default_rng(seed), np.full(count, 1 / count)
    distances = []
    for rows in _portions(count):
        weights = random.multinomial(count, even, rows) / count
        moved = weights @ centred
        spread = np.sqrt(np.maximum(weights @ centred**2 - moved**2, 0) / count)
        # Where all that is drawn is alike there is no spread: the distance is beyond all others.
        still = spread <= 1e-9 * error
        distance = moved / np.where(still, 1, spread)
        distances.append(np.where(still, np.copysign(np.inf, moved), distance))
    ordered = np.sort(np.concatenate(distances))
    tail = drawn_in_a_tail(1 - confidence, RESAMPLES)
    low, high = -np.inf, np.inf
    if tail:
        low, high = mean - error * ordered[-tail], mean - error * ordered[tail - 1]
    return Interval(
        float(np.clip(low, -_farthest(-differences, confidence), mean)),
        float(np.clip(high, mean, _farthest(differences, confidence))),
    )


def larger(differences: NDArray[np.float64], *, seed: int = 0) -> float:
    """The p-value of the hypothesis that either model might have given either value, one-sided.

    A sign-flip test of the mean of differences, float64 [U]: where the models are equal each sign
    is as likely as the other, whatever the differences are, and a p-value of at most alpha has at
    most the probability alpha for any number of units. A small one says that the second model's
    values are larger.

    References
    ----------
    R. A. Fisher, The Design of Experiments (1935), section 21; J. Hemerik and J. Goeman, TEST 27
    (2018) 811, theorem 2, for flips that are drawn at random.
    """
    moved = differences[differences != 0]
    if not moved.size:
        return 1.0
    random, total = np.random.default_rng(seed), moved.sum()
    reached = 1  # by the signs that were seen
    for rows in _portions(moved.size):
        signs = 2 * random.integers(0, 2, (rows, moved.size), np.int8) - 1
        reached += int((signs @ moved >= total - 1e-12 * np.abs(moved).sum()).sum())
    return reached / (RESAMPLES + 1)


def _farthest(differences: NDArray[np.float64], confidence: float) -> float:
    """The mean if as many units as there may be moved up, each like the one that moved most.

    Where few move at all, most draws hold none of them, and the bootstrap knows no end.
    """
    up = int((differences > 0).sum())
    part = clopper_pearson(up, len(differences), 2 * confidence - 1).high
    return part * float(max(0.0, differences.max()))


def _portions(width: int) -> Iterator[int]:
    rows = max(1, _AT_ONCE // width)
    for start in range(0, RESAMPLES, rows):
        yield min(rows, RESAMPLES - start)
