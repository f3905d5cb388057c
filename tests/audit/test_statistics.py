import math
from collections.abc import Callable
from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betaln
from scipy.stats import binom, binomtest, rankdata

from artifact.values import Interval
from audit import ConfidenceSequence, clopper_pearson, label_entropy
from audit.statistics import (
    DeviationDistribution,
    agreement_band,
    chance_agreement,
    class_cells,
    deviations,
    holm,
    mean_band,
    ranks,
    shuffle_test,
    sign_test,
    trials_to_settle,
)
from audit.statistics.binomial import _quantile


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


def test_the_interval_covers_every_proportion_with_the_stated_confidence() -> None:
    for confidence, trials in product([0.8, 0.95, 0.999], [1, 2, 10, 64, 300]):
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


# --- confidence sequences ---------------------------------------------------------------------


def crossing_probability(rate: float, trials: int, excludes: Callable[[int, int], bool]) -> float:
    """That an interval excludes the true rate after some trial, by summing over all paths."""
    alive, crossed = np.ones(1), 0.0
    for n in range(1, trials + 1):
        after = np.zeros(n + 1)
        after[:-1] += alive * (1 - rate)
        after[1:] += alive * rate
        out = np.array([excludes(s, n) for s in range(n + 1)])
        crossed += float(after[out].sum())
        alive = np.where(out, 0, after)
    return crossed


@pytest.mark.parametrize("rate", [0.5, 0.99])
def test_a_confidence_sequence_covers_at_all_times_at_once(rate: float) -> None:
    def excludes(successes: int, trials: int) -> bool:
        interval = ConfidenceSequence(0.9).update(successes, trials).interval
        return not interval.low <= rate <= interval.high

    assert 0 < crossing_probability(rate, 60, excludes) <= 0.1


def test_looking_again_and_again_at_a_fixed_interval_does_not_cover() -> None:
    """The mutant: Clopper-Pearson after every image."""

    def excludes(successes: int, trials: int) -> bool:
        interval = clopper_pearson(successes, trials, 0.9)
        return not interval.low <= 0.5 <= interval.high

    assert crossing_probability(0.5, 60, excludes) > 0.1


def test_a_sequence_is_where_the_mixture_never_exceeded_its_bound() -> None:
    known = ConfidenceSequence(0.95).update(46, 50)
    for end in (known.interval.low, known.interval.high):
        mixture = betaln(46.5, 4.5) - betaln(0.5, 0.5) - 46 * math.log(end) - 4 * math.log1p(-end)
        assert mixture == pytest.approx(math.log(20), abs=1e-6)


def test_a_sequence_only_ever_narrows_and_holds_all_trials() -> None:
    known = ConfidenceSequence()
    for _ in range(20):
        before, known = known.interval, known.update(19, 20)
        assert before.low <= known.interval.low < 0.95 < known.interval.high <= before.high
    assert (known.successes, known.trials) == (380, 400)
    assert ConfidenceSequence().interval == Interval(0, 1)
    # B(n + 1/2, 1/2) / B(1/2, 1/2) comes to 1 / sqrt(pi n).
    million = ConfidenceSequence().update(10**6, 10**6).interval.low
    assert 1e6 * (1 - million) == pytest.approx(math.log(20) + math.log(math.pi * 1e6) / 2, 1e-4)


def test_a_rate_that_changes_empties_the_sequence() -> None:
    known = ConfidenceSequence().update(1000, 1000).update(0, 3000)
    assert known.interval.low > known.interval.high


@pytest.mark.parametrize(("successes", "trials"), [(-1, 5), (6, 5)])
def test_a_sequence_refuses_impossible_counts(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match=f"{successes} successes in {trials} trials"):
        ConfidenceSequence().update(successes, trials)


# --- bands and cells --------------------------------------------------------------------------


def test_an_agreement_band_is_bonferronis() -> None:
    agrees = np.random.default_rng(0).random((36, 200)) < 0.97
    bands = agreement_band(agrees, 0.95)
    for row, band in zip(agrees, bands, strict=True):
        assert band == clopper_pearson(int(row.sum()), 200, 1 - 0.05 / 36)


def test_a_mean_band_follows_the_clusters_and_not_their_entries() -> None:
    """Two hundred images whose curves are constant: 36 angles say no more than one."""
    values = np.tile(np.random.default_rng(0).normal(size=200), (36, 1))
    low, high = mean_band(values, 0.95)
    error = values[0].std() / math.sqrt(200)
    assert (high - low)[0] / (2 * error) == pytest.approx(1.97, abs=0.15)
    independent = np.random.default_rng(1).normal(size=(36, 200))
    wide_low, wide_high = mean_band(independent, 0.95)
    assert (wide_high - wide_low).mean() > 1.4 * (high - low).mean()
    assert np.array_equal(mean_band(values, 0.95)[0], low)


def test_a_mean_band_of_equal_values_is_a_line() -> None:
    low, high = mean_band(np.full((3, 50), 2.0), 0.95)
    assert np.array_equal(low, high)


def test_a_mean_band_is_no_surer_than_its_draws() -> None:
    """Of 1,000 draws the largest is that of 99.9 %, and 99.99 % may be asked."""
    values = np.random.default_rng(0).normal(size=(1, 400))
    (sure, surer) = (np.ptp(mean_band(values, each)) / 2 for each in (0.999, 0.9999))
    error = values.std() / math.sqrt(400)
    assert sure < 3.7 * error
    assert surer > 3.89 * error


def test_holm_is_the_step_down_procedure() -> None:
    adjusted = holm(np.array([0.01, 0.04, 0.03, 0.005]))
    assert adjusted == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm(np.array([0.9, 0.8])).max() == 1


def test_classes_are_counted_and_only_what_is_clearly_below_is_called_so() -> None:
    classes = np.repeat([2, 5, 7], 100)
    agrees = np.ones(300, bool)
    agrees[100:130] = False
    agrees[200:207] = False
    cells = class_cells(classes, agrees, 0.95, 0.95)
    assert [(c.label, c.images, c.agreeing, c.below) for c in cells] == [
        (2, 100, 100, False),
        (5, 100, 70, True),
        (7, 100, 93, False),
    ]
    assert cells[1].interval == clopper_pearson(70, 100, 0.95)


def test_a_class_that_loses_as_many_without_a_rotation_is_not_called_below() -> None:
    classes, agrees = np.repeat([0, 1], 50), np.tile([True, False], 50)
    assert all(c.below for c in class_cells(classes, agrees, 0.8, 0.95, np.ones(100, bool)))
    for control in (agrees, ~agrees):
        assert not any(c.below for c in class_cells(classes, agrees, 0.8, 0.95, control))


def test_labels_count_by_their_weights() -> None:
    labels = np.array([0, 0, 0, 1])
    assert chance_agreement(labels) == pytest.approx(10 / 16)
    assert chance_agreement(labels, np.array([1 / 3, 1 / 3, 1 / 3, 1])) == pytest.approx(0.5)


# --- what rotating does beyond what happens anyway ---------------------------------------------


@settings(deadline=None)
@given(st.integers(0, 60), st.integers(0, 60))
def test_the_sign_test_is_that_of_a_fair_coin(first: int, second: int) -> None:
    expected = binomtest(first, first + second, alternative="greater").pvalue if first else 1.0
    assert sign_test(first, second) == pytest.approx(expected)


def test_calls_of_one_batch_are_exchanged_together() -> None:
    """Of three calls and three of each batch, 1 of 20 exchanges is as extreme: images say less."""
    rotated, again = np.full((3, 200), 2.0), np.ones((3, 200))
    batches = np.repeat([0, 1], 100)
    assert shuffle_test(rotated, again, np.zeros(200, int)) == pytest.approx(1 / 20, abs=0.015)
    assert shuffle_test(rotated, again, batches) == pytest.approx(1 / 400, abs=0.003)
    assert shuffle_test(again, rotated, batches) > 0.95
    assert shuffle_test(again, again, batches) == 1


def test_ranks_are_those_of_scipy() -> None:
    moved = np.random.default_rng(0).integers(0, 4, (6, 50)).astype(float)
    np.testing.assert_array_equal(ranks(moved) + 0.5, rankdata(moved, axis=0))


# --- how far images move ----------------------------------------------------------------------


def test_every_image_that_moved_is_in_the_bin_that_holds_it() -> None:
    moved = np.concatenate([np.zeros(7), 10.0 ** np.random.default_rng(1).uniform(-9, 1, 500)])
    found = deviations(moved, 4.0)
    relative = moved / 4
    assert found.unmoved == 7
    assert sum(each.images for each in found.bins) == 500
    for each in found.bins:
        assert each.images == ((relative > each.low) & (relative <= each.high)).sum()
    assert found.bins[0].images
    assert found.bins[-1].images
    assert all(a.high == b.low for a, b in pairwise(found.bins))
    assert (relative <= found.median).mean() >= 0.5 > (relative < found.median).mean()
    assert (relative <= found.ninety_five).mean() >= 0.95 > (relative < found.ninety_five).mean()


def test_what_moved_exactly_to_an_edge_is_below_it() -> None:
    (only,) = deviations(np.array([2e-7]), 1.0).bins
    assert (only.low, only.high, only.images) == (1e-7, 2e-7, 1)


def test_nothing_that_moved_has_no_bins() -> None:
    assert deviations(np.zeros(3), 0.0) == DeviationDistribution(
        unmoved=3, median=0.0, ninety_five=0.0, bins=()
    )


@given(st.integers(1, 10**7), st.floats(1e-5, 1), st.sampled_from([0.1, 0.9]))
def test_quantiles_are_those_of_scipy(trials: int, rate: float, probability: float) -> None:
    assert _quantile(probability, trials, rate) == binom.ppf(probability, trials, rate)


@pytest.mark.parametrize("rate", [0.995, 0.97, 0.8])
def test_so_many_trials_settle_it_in_nine_of_ten(rate: float) -> None:
    count = trials_to_settle(round(1000 * rate), 1000, 0.99, 0.95)
    assert count is not None
    seen = np.random.default_rng(0).binomial(count, rate, 4000)
    intervals = [clopper_pearson(int(k), count, 0.95) for k in seen]
    settled = np.mean([i.low >= 0.99 or i.high < 0.99 for i in intervals])
    assert settled > 0.88
