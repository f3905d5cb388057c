"""Intervals where clusters of images were drawn: what they cover, and what they are made of."""

import numpy as np
import pytest
from scipy import stats

from audit.statistics import clopper_pearson, korn_graubard
from audit.statistics.binomial import beta_interval


def by_the_book(successes, clusters, confidence):
    """Korn and Graubard's interval, by loops and `scipy.stats`."""
    n, p = len(successes), np.mean(successes)
    names = sorted(set(clusters.tolist()))
    c = len(names)
    between = sum(
        (successes[clusters == name].sum() - p * (clusters == name).sum()) ** 2 for name in names
    )
    variance = c / (c - 1) * between / n**2
    tail = (1 - confidence) / 2
    n_eff = p * (1 - p) / variance * (stats.t.isf(tail, n - 1) / stats.t.isf(tail, c - 1)) ** 2
    n_eff = min(n, n_eff)
    x = p * n_eff
    return stats.beta.ppf(tail, x, n_eff - x + 1), stats.beta.isf(tail, x + 1, n_eff - x)


def drawn(seed, clusters, size, mean, alike):
    """Clusters whose rates are spread by Beta: `alike` is their intraclass correlation."""
    rng = np.random.default_rng(seed)
    spread = (1 - alike) / alike
    rates = rng.beta(mean * spread, (1 - mean) * spread, clusters)
    sizes = rng.integers(1, 2 * size, clusters)
    of = np.repeat(np.arange(clusters), sizes)
    return rng.random(len(of)) < rates[of], of


@pytest.mark.parametrize("seed", range(5))
def test_it_is_that_of_the_book(seed):
    successes, of = drawn(seed, 30, 8, 0.8, 0.3)
    found = korn_graubard(successes, of, 0.9)
    assert (found.low, found.high) == pytest.approx(by_the_book(successes, of, 0.9), rel=1e-9)


def test_copies_of_images_say_nothing_new():
    """A hundred independent images, each twenty times, are as good as ninety-nine."""
    successes = np.random.default_rng(0).random(100) < 0.9
    found = korn_graubard(np.repeat(successes, 20), np.repeat(np.arange(100), 20), 0.95)
    effective = 99 * (stats.t.isf(0.025, 1999) / stats.t.isf(0.025, 99)) ** 2
    due = beta_interval(successes.mean() * effective, effective, 0.95)
    assert (found.low, found.high) == pytest.approx((due.low, due.high), rel=1e-9)
    naive = clopper_pearson(int(20 * successes.sum()), 2000, 0.95)
    assert found.low < naive.low - 0.02


def test_images_that_are_their_own_clusters_are_nearly_as_good_as_none():
    successes = np.arange(400) % 10 != 0
    found = korn_graubard(successes, np.arange(400), 0.95)
    plain = clopper_pearson(360, 400, 0.95)
    assert (found.low, found.high) == pytest.approx((plain.low, plain.high), abs=3e-4)


@pytest.mark.parametrize("right", [True, False])
def test_where_all_agree_clusters_are_counted(right):
    found = korn_graubard(np.full(200, right), np.arange(200) // 10, 0.95)
    assert found == clopper_pearson(20 if right else 0, 20, 0.95)


def test_clusters_of_equal_rates_are_no_better_than_single_images():
    successes = np.tile(np.arange(10) > 0, 20)
    assert korn_graubard(successes, np.arange(200) // 10, 0.95) == clopper_pearson(180, 200, 0.95)


def test_one_cluster_says_nothing():
    found = korn_graubard(np.ones(50, np.bool_), np.zeros(50, np.int64), 0.95)
    assert (found.low, found.high) == (0.0, 1.0)


def test_it_covers_what_it_says_and_the_plain_one_does_not():
    """Of 60 clusters of about 10 images, half alike: 1,000 draws, 95 % intervals."""
    held = plain_held = 0
    for seed in range(1000):
        successes, of = drawn(seed, 60, 10, 0.9, 0.5)
        found = korn_graubard(successes, of, 0.95)
        plain = clopper_pearson(int(successes.sum()), len(of), 0.95)
        held += found.low <= 0.9 <= found.high
        plain_held += plain.low <= 0.9 <= plain.high
    assert held >= 930
    assert plain_held < 800
