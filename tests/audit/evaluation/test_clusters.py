"""Intervals where clusters of images were drawn: what they cover, and what they are made of."""

import numpy as np
import pytest
from scipy import stats

from audit.statistics import clopper_pearson, cluster_interval


def by_the_book(successes, clusters, confidence):
    """The interval by loops and `scipy.stats`."""
    n, p = len(successes), np.mean(successes)
    names = sorted(set(clusters.tolist()))
    c = len(names)
    between = sum(
        (successes[clusters == name].sum() - p * (clusters == name).sum()) ** 2 for name in names
    )
    variance = c / (c - 1) * between / n**2
    tail = (1 - confidence) / 2
    rates = [successes[clusters == name].mean() for name in names]
    d = min(c - 1, sum(rate < 1 for rate in rates), sum(rate > 0 for rate in rates))
    n_eff = p * (1 - p) / variance * (stats.t.isf(tail, n - 1) / stats.t.isf(tail, d)) ** 2
    n_eff = max(n_eff, n**2 / sum((clusters == name).sum() ** 2 for name in names))
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
    found = cluster_interval(successes, of, 0.9)
    assert (found.low, found.high) == pytest.approx(by_the_book(successes, of, 0.9), rel=1e-9)


def test_copies_of_images_say_nothing_new():
    """A hundred independent images, each twenty times, are as good as a hundred."""
    successes = np.random.default_rng(0).random(100) < 0.9
    found = cluster_interval(np.repeat(successes, 20), np.repeat(np.arange(100), 20), 0.95)
    assert found == clopper_pearson(int(successes.sum()), 100, 0.95)
    naive = clopper_pearson(int(20 * successes.sum()), 2000, 0.95)
    assert found.low < naive.low - 0.02


def test_images_that_are_their_own_clusters_are_single_images():
    successes = np.arange(400) % 10 != 0
    assert cluster_interval(successes, np.arange(400), 0.95) == clopper_pearson(360, 400, 0.95)


@pytest.mark.parametrize("right", [True, False])
def test_where_all_agree_clusters_are_counted(right):
    found = cluster_interval(np.full(200, right), np.arange(200) // 10, 0.95)
    assert found == clopper_pearson(20 if right else 0, 20, 0.95)


def test_clusters_of_equal_rates_are_no_better_than_single_images():
    successes = np.tile(np.arange(10) > 0, 20)
    assert cluster_interval(successes, np.arange(200) // 10, 0.95) == clopper_pearson(
        180, 200, 0.95
    )


def test_one_cluster_says_nothing():
    found = cluster_interval(np.ones(50, np.bool_), np.zeros(50, np.int64), 0.95)
    assert (found.low, found.high) == (0.0, 1.0)


@pytest.mark.parametrize(
    ("clusters", "size", "mean", "alike"),
    [(60, 10, 0.9, 0.5), (20, 10, 0.9, 0.5), (30, 20, 0.95, 0.2), (200, 3, 0.99, 0.5)],
)
def test_it_covers_what_it_says_and_the_plain_one_does_not(clusters, size, mean, alike):
    """1,000 draws; a model at the border passes with the chance that the low end is too high."""
    held = passed = plain_held = 0
    for seed in range(1000):
        successes, of = drawn(seed, clusters, size, mean, alike)
        found = cluster_interval(successes, of, 0.95)
        plain = clopper_pearson(int(successes.sum()), len(of), 0.95)
        held += found.low <= mean <= found.high
        passed += found.low > mean
        plain_held += plain.low <= mean <= plain.high
    assert held >= 940
    assert passed <= 50
    assert plain_held < 850
