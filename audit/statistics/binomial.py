"""Exact intervals of a proportion: what a number of images can and cannot show."""

import math

from artifact.values import Interval
from audit.statistics import special

_MOST_TRIALS = 10**7


def clopper_pearson(successes: int, trials: int, confidence: float) -> Interval:
    """The exact two-sided interval of a binomial proportion.

    It covers the true proportion with at least the given confidence, whatever that proportion is.

    Raises
    ------
    ValueError
        If there are no trials, or more successes than trials.

    References
    ----------
    C. J. Clopper and E. S. Pearson, Biometrika 26 (1934) 404; in terms of the beta distribution,
    as in L. D. Brown et al., Statistical Science 16 (2001) 101, section 4.2.1.
    """
    if not (trials >= 1 and 0 <= successes <= trials):
        raise ValueError(
            f"There are {successes} successes in {trials} trials; 0 to N successes in N >= 1 "
            "trials are accepted."
        )
    return beta_interval(successes, trials, confidence)


def trials_to_settle(
    successes: int, trials: int, threshold: float, confidence: float, *, power: float = 0.9
) -> int | None:
    """How many trials put the whole interval on one side of a threshold, with a chance of `power`.

    The chance is that of trials at the observed rate. None when ten million are not enough.
    """
    rate = successes / trials

    def settled(count: int) -> bool:
        # Of the two sides only the one on which the rate lies is ever likely.
        if rate >= threshold:
            few = _quantile(1 - power, count, rate)  # so many or more, with that chance
            return beta_interval(few, count, confidence).low >= threshold
        many = _quantile(power, count, rate)
        return beta_interval(many, count, confidence).high < threshold

    low, high = 0, trials
    while not settled(high):
        low, high = high, 2 * high
        if high > _MOST_TRIALS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if settled(middle) else (middle, high)
    return high


def trials_to_show(threshold: float, confidence: float) -> int:
    """How many trials, all successful, put the whole interval above a threshold: 368 above 0.99."""
    return math.ceil(math.log((1 - confidence) / 2) / math.log(threshold))


def _quantile(probability: float, trials: int, rate: float) -> int:
    """The smallest number of successes that is exceeded with at most 1 - probability.

    `scipy.stats` has it too, and takes a second to import.
    """
    if rate in (0.0, 1.0):
        return int(rate) * trials
    near = int(special.bdtrik(probability, trials, rate))
    return next(
        k for k in (near - 1, near, near + 1) if special.bdtr(k, trials, rate) >= probability
    )


def beta_interval(successes: float, trials: float, confidence: float) -> Interval:
    """Clopper-Pearson's interval by the beta distribution, also of counts that are not whole."""
    tail, failures = (1 - confidence) / 2, trials - successes
    low = float(special.betaincinv(successes, failures + 1, tail)) if successes > 0 else 0.0
    high = float(special.betaincinv(successes + 1, failures, 1 - tail)) if failures > 0 else 1.0
    return Interval(low, high)
