"""Two models on the same units: is the second one worse, and by how much can it be at most?

Of N units, `lost` do with the first model what they do not with the second, and `gained` the other
way round. All that is known of a difference lies in these: the other units behave alike.
"""

from dataclasses import dataclass
from functools import lru_cache
from math import asin, sqrt
from typing import Final

import numpy as np
from numpy.typing import NDArray

from artifact.values import Interval
from audit.statistics import special
from audit.statistics.paired import sign_test

_GIVEN_AWAY: Final = 1e-3
"""Of every p-value: the chance that the part of discordant units lies where nobody looked."""

_LOOKED_AT: Final = 97
_UNLIKELY: Final = 21.0
_TIES: Final = 1e-9


@dataclass(frozen=True)
class Discordance:
    """How often two models part on the same units.

    Attributes
    ----------
    lost, gained
        Units that do with the first model alone, and with the second alone.
    units
        All that were tried with both.

    Raises
    ------
    ValueError
        If there are no units, or more that part than there are.
    """

    lost: int
    gained: int
    units: int

    def __post_init__(self) -> None:
        if min(self.lost, self.gained) < 0 or not 1 <= self.units >= self.lost + self.gained:
            raise ValueError(
                f"{self.lost} are lost and {self.gained} gained of {self.units}; counts that are "
                "no more than the units, of which there is one at least, are accepted."
            )

    @property
    def difference(self) -> float:
        """The part that the second model does more; negative where it does less."""
        return (self.gained - self.lost) / self.units

    @property
    def turned_round(self) -> "Discordance":
        """The same with the models exchanged."""
        return Discordance(self.gained, self.lost, self.units)


def discordance(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> Discordance:
    """Count where two models part, given what each does on the same units, bool [U] each."""
    return Discordance(int((first & ~second).sum()), int((~first & second).sum()), len(first))


def mcnemar(pairs: Discordance) -> float:
    """McNemar's exact p-value of the hypothesis that neither model is better, two-sided.

    References
    ----------
    Q. McNemar, Psychometrika 12 (1947) 153; exact, as a sign test of the discordant pairs.
    """
    return min(1.0, 2 * min(worse(pairs), worse(pairs.turned_round)))


def worse(pairs: Discordance) -> float:
    """The same against one side: a small p-value says that the second model is worse."""
    return sign_test(pairs.lost, pairs.gained)


@lru_cache(maxsize=4096)  # classes have often the same counts
def not_worse(pairs: Discordance, margin: float) -> float:
    """A small p-value says that the second model is worse by less than a margin.

    An exact unconditional test of p(lost) - p(gained) >= margin, ordered by Tango's score: whatever
    the other probabilities are, a p-value of at most alpha has at most the probability alpha where
    that holds. The largest p-value is looked for over the part of discordant units, within its
    Clopper-Pearson interval at 99.9 %, and 0.1 % is added for what lies outside.

    Parameters
    ----------
    margin
        Above -1 and below 1; at a negative one, the second model is better by more than that.

    References
    ----------
    T. Tango, Statistics in Medicine 17 (1998) 891, equations 1 to 4, for the score. K. Sidik,
    Statistics in Medicine 22 (2003) 265, for the exact test that it orders. R. L. Berger and
    D. D. Boos, Journal of the American Statistical Association 89 (1994) 1012, for the search over
    an interval.
    """
    units, parting = pairs.units, pairs.lost + pairs.gained
    # That of discordant units is at least the difference.
    low = max(_end(parting, units, _GIVEN_AWAY / 2), abs(margin))
    high = max(1 - _end(units - parting, units, _GIVEN_AWAY / 2), low)
    parts = _between(low, high)
    counts = _likely(units, low, high)
    most = _most_lost(counts, tango_score(pairs, margin), units, margin)
    # Given how many part, how many of these are lost is binomial.
    of_these = np.clip((parts + margin) / (2 * np.where(parts > 0, parts, 1)), 0, 1)[:, None]
    fewer = np.where(most < 0, 0.0, special.bdtr(np.maximum(most, 0), counts, of_these))
    chances = (np.exp(_log_binomial(counts, units, parts[:, None])) * fewer).sum(axis=1)
    return min(1.0, float(chances.max()) + _GIVEN_AWAY)


def difference_interval(pairs: Discordance, confidence: float) -> Interval:
    """How much more the second model does, at least and at most: `not_worse`, turned round.

    Each end holds with the confidence alone, so that both hold with 2 confidence - 1.
    """
    return Interval(-_bound(pairs, 1 - confidence), _bound(pairs.turned_round, 1 - confidence))


def tango_score(pairs: Discordance, margin: float) -> float:
    """How many standard errors more than a margin are lost, in Tango's estimate of that error."""
    lost, gained = np.array(float(pairs.lost)), np.array(float(pairs.gained))
    return float(_score(lost, gained, pairs.units, margin))


def _score(
    lost: NDArray[np.float64], gained: NDArray[np.float64], units: int, margin: float
) -> NDArray[np.float64]:
    """Tango's equation 3, with the estimate under the margin of equation 4, in each place."""
    linear = -lost - gained + (2 * units - lost + gained) * margin
    constant = -gained * margin * (1 - margin)
    root = np.sqrt(np.maximum(linear**2 - 8 * units * constant, 0))
    estimate = np.maximum((root - linear) / (4 * units), max(0.0, -margin))
    variance = units * np.maximum(2 * estimate + margin * (1 - margin), 0)
    excess = lost - gained - units * margin
    excess = np.where(np.abs(excess) < _TIES, 0, excess)
    # Without a spread any excess is beyond all others.
    return np.asarray(excess / np.sqrt(np.maximum(variance, _TIES**2)))


def _most_lost(
    counts: NDArray[np.int64], score: float, units: int, margin: float
) -> NDArray[np.int64]:
    """Of so many that part, the most that may be lost with at most a score; -1 where none may."""
    # The score grows with those that are lost: halve the range until it is found.
    low, high = np.full_like(counts, -1), counts.copy()
    while (low < high).any():
        middle = (low + high + 1) // 2
        lost = np.maximum(middle, 0).astype(np.float64)
        fits = _score(lost, counts - lost, units, margin) <= score + _TIES * (1 + abs(score))
        low, high = np.where(fits, middle, low), np.where(fits, high, middle - 1)
    return low


def _between(low: float, high: float) -> NDArray[np.float64]:
    """Probabilities from one to another, closer together where binomials change faster."""
    ends = asin(sqrt(low)), asin(sqrt(min(1.0, high)))
    return np.asarray(np.clip(np.sin(np.linspace(*ends, _LOOKED_AT)) ** 2, low, high))


def _likely(units: int, low: float, high: float) -> NDArray[np.int64]:
    """The counts of units that a binomial with a probability between two ever has.

    By Bernstein's inequality, others have a probability of exp(-21), 1e-9, on either side.
    """
    least, most = (
        units * p + sign * (sqrt(2 * _UNLIKELY * units * p * (1 - p)) + 2 * _UNLIKELY / 3)
        for p, sign in ((low, -1), (high, 1))
    )
    return np.arange(max(0, int(least)), min(units, int(most) + 1) + 1)


def _log_binomial(
    counts: NDArray[np.int64], trials: int, rate: NDArray[np.float64]
) -> NDArray[np.float64]:
    ways = (
        special.gammaln(trials + 1)
        - special.gammaln(counts + 1)
        - special.gammaln(trials - counts + 1)
    )
    return np.asarray(ways + special.xlogy(counts, rate) + special.xlog1py(trials - counts, -rate))


def _end(successes: int, trials: int, tail: float) -> float:
    return float(special.betaincinv(successes, trials - successes + 1, tail)) if successes else 0.0


@lru_cache(maxsize=4096)
def _bound(pairs: Discordance, alpha: float) -> float:
    """The smallest margin by which the second model is not worse, as far as alpha shows."""
    from scipy.optimize import brentq  # a tenth of a second of a service's start, for later

    def excess(margin: float) -> float:
        return not_worse(pairs, margin) - alpha

    low = -pairs.difference
    spread = sqrt(pairs.lost + pairs.gained + 1) / pairs.units
    high = low
    while high < 1 and excess(high) > 0:
        high = min(1.0, high + spread) if high + spread < 1 - 1e-9 else 1.0
        spread *= 2
    if high >= 1:
        return 1.0
    return float(brentq(excess, low, high, xtol=1e-7)) if high > low else low
