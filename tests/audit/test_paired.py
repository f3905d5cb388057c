"""Paired statistics against brute force: what they state holds for every truth."""

from collections.abc import Callable
from itertools import product

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.stats import binomtest, multinomial, norm

from audit.statistics import (
    Discordance,
    difference_interval,
    discordance,
    larger,
    mcnemar,
    mean_interval,
    not_worse,
    worse,
)
from audit.statistics.discordance import tango_score

ALPHA = 0.05


@st.composite
def discordances(draw: st.DrawFn, most: int = 400) -> Discordance:
    units = draw(st.integers(1, most))
    lost = draw(st.integers(0, units))
    return Discordance(lost, draw(st.integers(0, units - lost)), units)


def outcomes(units: int) -> list[tuple[int, int]]:
    return [(b, c) for b, c in product(range(units + 1), repeat=2) if b + c <= units]


def chances(
    units: int, lost: float | NDArray[np.float64], gained: float | NDArray[np.float64]
) -> NDArray[np.float64]:
    """The probability of each of the outcomes, [..., outcomes], for one truth or for many."""
    counts = [(b, c, units - b - c) for b, c in outcomes(units)]
    lost, gained = np.broadcast_arrays(lost, gained)
    parts = np.stack([lost, gained, np.maximum(1 - lost - gained, 0)], axis=-1)
    return np.asarray(multinomial.pmf(counts, units, parts[..., None, :]))


# --- McNemar ----------------------------------------------------------------------------------


@given(discordances())
def test_mcnemar_is_a_binomial_test_of_the_units_that_part(pairs: Discordance) -> None:
    parting = pairs.lost + pairs.gained
    if parting == 0:
        assert mcnemar(pairs) == worse(pairs) == 1
        return
    assert mcnemar(pairs) == pytest.approx(binomtest(pairs.lost, parting).pvalue, rel=1e-9)
    against = binomtest(pairs.lost, parting, alternative="greater").pvalue
    assert worse(pairs) == pytest.approx(against, rel=1e-9)


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1))
def test_units_are_counted_where_they_part(units: list[tuple[bool, bool]]) -> None:
    first, second = np.array(units, np.bool_).T
    pairs = discordance(first, second)
    assert (pairs.lost, pairs.gained) == (units.count((True, False)), units.count((False, True)))
    assert pairs.difference == pytest.approx(second.mean() - first.mean())


@pytest.mark.parametrize("counts", [(1, 0, 0), (-1, 0, 5), (3, 3, 5)])
def test_counts_that_no_units_have_are_refused(counts: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match="are accepted"):
        Discordance(*counts)


# --- not worse by a margin --------------------------------------------------------------------


def constrained(pairs: Discordance, margin: float) -> float:
    """The likeliest probability of a gain where the difference is the margin: by search."""
    rest = pairs.units - pairs.lost - pairs.gained

    def unlikely(gained: float) -> float:
        parts = np.array([gained + margin, gained, 1 - 2 * gained - margin])
        counts = np.array([pairs.lost, pairs.gained, rest])
        return -float((counts * np.log(np.maximum(parts, 1e-300))).sum())

    ends = (max(0.0, -margin), (1 - margin) / 2)
    return float(
        minimize_scalar(unlikely, bounds=ends, method="bounded", options={"xatol": 1e-12}).x
    )


@given(discordances(), st.floats(-0.3, 0.3))
@settings(max_examples=50)
def test_the_score_has_the_error_of_the_likeliest_truth(pairs: Discordance, margin: float) -> None:
    """Tango's closed form is the maximum of the likelihood under the margin."""
    assume(abs(margin) > 1e-3 and pairs.lost + pairs.gained > 0)
    gained = constrained(pairs, margin)
    variance = pairs.units * (2 * gained + margin * (1 - margin))
    expected = (pairs.lost - pairs.gained - pairs.units * margin) / np.sqrt(variance)
    assert tango_score(pairs, margin) == pytest.approx(expected, rel=1e-3, abs=1e-3)


def by_brute_force(pairs: Discordance, margin: float) -> float:
    """The largest probability of a score as small, over all truths on a grid, nothing left out."""
    every = outcomes(pairs.units)
    scores = np.array([tango_score(Discordance(b, c, pairs.units), margin) for b, c in every])
    as_small = scores <= tango_score(pairs, margin) + 1e-9
    gained = np.linspace(0, (1 - abs(margin)) / 2, 1500)
    truths = chances(pairs.units, gained + max(margin, 0), gained + max(-margin, 0))
    return float(truths[:, as_small].sum(axis=1).max())


@given(discordances(most=12), st.sampled_from((-0.1, 0.05, 0.1, 0.2, 0.5)))
@settings(max_examples=40)
def test_the_p_value_is_what_brute_force_finds(pairs: Discordance, margin: float) -> None:
    """It looks where the truth may lie, and so may be smaller; it gives away a thousandth."""
    assert not_worse(pairs, margin) <= min(1, by_brute_force(pairs, margin) + 1e-3 + 1e-6)


def largest_chance(p_value: Callable[[Discordance], float], units: int, margin: float) -> float:
    """How often a model that is worse by just the margin passes, in the worst of all truths."""
    passes = np.array([p_value(Discordance(b, c, units)) < ALPHA for b, c in outcomes(units)])
    gains = np.linspace(0, (1 - margin) / 2, 60)
    return float(chances(units, gains + margin, gains)[:, passes].sum(axis=1).max())


@pytest.mark.slow
@pytest.mark.parametrize(("units", "margin"), [(12, 0.3), (30, 0.1)])
def test_a_model_that_is_worse_by_just_the_margin_hardly_passes(units: int, margin: float) -> None:
    assert largest_chance(lambda pairs: not_worse(pairs, margin), units, margin) <= ALPHA


def test_the_check_refuses_the_approximate_test() -> None:
    """The mutants: Tango's score as if it were normal, and Wald's."""
    margin = 0.1

    def tango(pairs: Discordance) -> float:
        return float(norm.cdf(tango_score(pairs, margin)))

    def wald(pairs: Discordance) -> float:
        lost, gained, units = pairs.lost, pairs.gained, pairs.units
        error = np.sqrt(max(lost + gained - (lost - gained) ** 2 / units, 1e-9)) / units
        return float(norm.cdf((-pairs.difference - margin) / error))

    assert largest_chance(tango, 30, margin) > ALPHA
    assert largest_chance(wald, 30, margin) > ALPHA


@pytest.mark.slow
@given(discordances(), st.floats(0.005, 0.4))
@settings(max_examples=25)
def test_an_interval_says_what_the_test_says(pairs: Discordance, margin: float) -> None:
    low = difference_interval(pairs, 1 - ALPHA).low
    assume(abs(low + margin) > 1e-5)
    assert (low > -margin) == (not_worse(pairs, margin) < ALPHA)


@pytest.mark.slow
@given(discordances())
@settings(max_examples=25)
def test_an_interval_holds_the_difference_and_turns_round(pairs: Discordance) -> None:
    here = difference_interval(pairs, 1 - ALPHA)
    there = difference_interval(pairs.turned_round, 1 - ALPHA)
    assert -1 <= here.low <= pairs.difference <= here.high <= 1
    assert (here.low, here.high) == (-there.high, -there.low)


@pytest.mark.parametrize(("lost", "gained"), [(0.0, 0.0), (0.05, 0.15), (0.4, 0.4)])
def test_each_end_holds_with_the_confidence(lost: float, gained: float) -> None:
    units = 12
    intervals = [difference_interval(Discordance(b, c, units), 0.95) for b, c in outcomes(units)]
    each = chances(units, lost, gained)
    above = np.array([interval.low > gained - lost + 1e-6 for interval in intervals])
    below = np.array([interval.high < gained - lost - 1e-6 for interval in intervals])
    assert each[above].sum() <= 0.05
    assert each[below].sum() <= 0.05


# --- means ------------------------------------------------------------------------------------


@given(st.lists(st.floats(-1, 1), min_size=1, max_size=40))
@settings(max_examples=40)
def test_a_mean_lies_in_its_interval_and_comes_again(values: list[float]) -> None:
    differences = np.array(values)
    interval = mean_interval(differences, 0.95)
    assert interval.low <= differences.mean() <= interval.high
    assert interval == mean_interval(differences, 0.95)


def test_equal_differences_have_no_interval_around_them() -> None:
    interval = mean_interval(np.full(30, 0.25), 0.95)
    assert (interval.low, interval.high) == (0.25, 0.25)


def test_a_mean_is_not_told_surer_than_there_are_draws() -> None:
    """Of 1,999 draws none is beyond the 99.99 % that may be asked: the largest was taken for it."""
    differences = np.random.default_rng(1).normal(0, 1, 200)
    sure, surer = (mean_interval(differences, each) for each in (0.9995, 0.9999))
    assert surer.low < sure.low - 0.1
    assert surer.high > sure.high + 0.1


@pytest.mark.slow
@pytest.mark.parametrize("spread", [1.0])
def test_each_end_of_a_mean_holds(spread: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of log-normal deviations, within three standard errors of the simulation."""
    monkeypatch.setattr("audit.statistics.paired_means.RESAMPLES", 199)
    random, audits = np.random.default_rng(5), 200
    truth = (1.2 - 1) * np.exp(spread**2 / 2)
    above = below = 0
    for _ in range(audits):
        first, second = random.lognormal(0, spread, (2, 200))
        interval = mean_interval(1.2 * second - first, 0.95)
        above += interval.low > truth
        below += interval.high < truth
    most = 0.05 + 3 * np.sqrt(0.05 * 0.95 / audits)
    assert above / audits <= most
    assert below / audits <= most


def test_few_that_move_far_do_not_open_the_interval() -> None:
    """One of 512 moved: most draws hold none, and the bootstrap alone knows no end."""
    differences = np.zeros(512)
    differences[7] = 0.5
    interval = mean_interval(differences, 0.95)
    assert 0 <= interval.low <= 0.5 / 512
    assert 0.5 / 512 < interval.high < 0.01


@given(st.lists(st.floats(0.01, 1), min_size=1, max_size=9))
@settings(max_examples=25)
def test_flips_are_those_of_all_signs(sizes: list[float]) -> None:
    moved = np.array(sizes)
    moved[::3] *= -1
    signs = np.array([*product((-1, 1), repeat=len(moved))])
    exact = float((signs @ np.abs(moved) >= moved.sum() - 1e-9).mean())
    error = np.sqrt(exact * (1 - exact) / 1999)
    assert abs(larger(moved) - exact) <= 5 * error + 1e-3


def test_where_nothing_differs_nothing_is_larger() -> None:
    assert larger(np.zeros(50)) == 1
    assert larger(np.full(50, 0.1)) < 0.001
    assert larger(np.full(50, -0.1)) == 1
