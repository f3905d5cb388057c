import math
from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binom, binomtest

from audit import Interval, clopper_pearson, label_entropy
from audit.statistics import trials_to_settle


def smallest_coverage(
    interval: Callable[[int, int, float], Interval], trials: int, confidence: float
) -> float:
    """The probability that the interval covers the true proportion, summed over all outcomes."""
    successes = np.arange(trials + 1)
    bounds = [interval(int(k), trials, confidence) for k in successes]
    low = np.array([b.low for b in bounds])
    high = np.array([b.high for b in bounds])
    proportions = np.linspace(0, 1, 401)[:, None]
    covered = (low <= proportions) & (proportions <= high)
    return float((binom.pmf(successes, trials, proportions) * covered).sum(axis=1).min())


@pytest.mark.parametrize("trials", [1, 2, 10, 64, 300])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.999])
def test_the_interval_covers_every_proportion_with_the_stated_confidence(
    trials: int, confidence: float
) -> None:
    assert smallest_coverage(clopper_pearson, trials, confidence) >= confidence - 1e-9


def wald(successes: int, trials: int, confidence: float) -> Interval:
    rate = successes / trials
    margin = 1.96 * math.sqrt(rate * (1 - rate) / trials)
    return Interval(rate - margin, rate + margin)


def one_tailed(successes: int, trials: int, confidence: float) -> Interval:
    return clopper_pearson(successes, trials, 2 * confidence - 1)


@pytest.mark.parametrize("mutant", [wald, one_tailed])
def test_the_coverage_check_refuses_other_intervals(
    mutant: Callable[[int, int, float], Interval],
) -> None:
    assert smallest_coverage(mutant, 64, 0.95) < 0.95


@given(st.integers(1, 2000), st.data())
def test_the_interval_holds_the_rate_and_mirrors_with_failures(
    trials: int, data: st.DataObject
) -> None:
    successes = data.draw(st.integers(0, trials))
    interval = clopper_pearson(successes, trials, 0.95)
    assert 0 <= interval.low <= successes / trials <= interval.high <= 1
    mirrored = clopper_pearson(trials - successes, trials, 0.95)
    assert mirrored.low == pytest.approx(1 - interval.high, abs=1e-12)


@pytest.mark.parametrize(("successes", "trials"), [(0, 7), (3, 7), (7, 7), (509, 512)])
def test_the_interval_is_that_of_scipy(successes: int, trials: int) -> None:
    theirs = binomtest(successes, trials).proportion_ci(0.95, "exact")
    ours = clopper_pearson(successes, trials, 0.95)
    assert (ours.low, ours.high) == pytest.approx((theirs.low, theirs.high), abs=1e-12)


@pytest.mark.parametrize(("successes", "trials"), [(0, 0), (-1, 5), (6, 5)])
def test_impossible_counts_are_refused(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match=f"{successes} successes in {trials} trials"):
        clopper_pearson(successes, trials, 0.95)


def test_368_images_settle_a_full_agreement_at_99_percent() -> None:
    # All of n agree: the lower end is 0.025 ** (1 / n), so n >= log(0.025) / log(0.99).
    assert trials_to_settle(10, 10, 0.99, 0.95) == math.ceil(math.log(0.025) / math.log(0.99))
    assert clopper_pearson(368, 368, 0.95).low >= 0.99 > clopper_pearson(367, 367, 0.95).low


@given(st.integers(1, 60), st.data())
def test_that_many_trials_at_the_same_rate_settle_it(trials: int, data: st.DataObject) -> None:
    successes = data.draw(st.integers(0, trials))
    needed = trials_to_settle(successes, trials, 0.9, 0.95)
    if needed is None:
        assert successes / trials == 0.9
        return
    whole = -(-needed // trials)  # the same rate, in whole images
    interval = clopper_pearson(successes * whole, trials * whole, 0.95)
    assert interval.low >= 0.9 or interval.high < 0.9


def test_an_agreement_at_the_threshold_is_never_settled() -> None:
    assert trials_to_settle(99, 100, 0.99, 0.95) is None


@pytest.mark.parametrize(
    ("labels", "bits"), [([3, 3, 3], 0), ([0, 1], 1), ([0, 1, 2, 3], 2), ([0, 0, 0, 1], 0.8112781)]
)
def test_entropy_is_in_bits(labels: list[int], bits: float) -> None:
    assert label_entropy(np.array(labels)) == pytest.approx(bits)
