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
    sizes = [(clusters == name).sum() for name in names]
    kish = [
        sum(chosen) ** 2 / sum(size**2 for size in chosen)
        for chosen in (
            sizes,
            [size for size, rate in zip(sizes, rates, strict=True) if rate < 1],
            [size for size, rate in zip(sizes, rates, strict=True) if rate > 0],
        )
    ]
    d = min(kish[0] - 1, *kish[1:])
    n_eff = p * (1 - p) / variance * (stats.t.isf(tail, n - 1) / stats.t.isf(tail, d)) ** 2
    n_eff = min(n, max(n_eff, kish[0]))
    w = min(1, 2 * kish[0] / c)
    n_eff = kish[0] ** (1 - w) * n_eff**w
    x = p * n_eff
    return stats.beta.ppf(tail, x, n_eff - x + 1), stats.beta.isf(tail, x + 1, n_eff - x)


def uneven(rng, clusters, size):
    return rng.integers(1, 2 * size, clusters)


def log_normal(rng, clusters, sigma):
    return np.ceil(np.exp(rng.normal(1, sigma, clusters))).astype(int)


def few_large(rng, clusters, size):
    return np.where(rng.random(clusters) < 0.05, size, 1)


def drawn(seed, clusters, size, mean, alike, sizes_of=uneven):
    """Clusters whose rates are spread by Beta: `alike` is their intraclass correlation."""
    rng = np.random.default_rng(seed)
    spread = (1 - alike) / alike
    rates = rng.beta(mean * spread, (1 - mean) * spread, clusters)
    sizes = sizes_of(rng, clusters, size)
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


@pytest.mark.parametrize(
    ("sizes_of", "clusters", "size", "mean", "alike"),
    [
        (log_normal, 80, 1.2, 0.9, 0.9),
        (log_normal, 200, 1.2, 0.95, 0.5),
        (log_normal, 80, 2.0, 0.95, 0.5),
        (few_large, 80, 200, 0.9, 0.9),
        (few_large, 200, 200, 0.95, 0.2),
    ],
)
def test_a_model_at_the_border_does_not_pass_by_clusters_of_unequal_sizes(
    sizes_of, clusters, size, mean, alike
):
    """500 draws: large clusters are most of all images, and few of them are drawn."""
    passed = sum(
        cluster_interval(*drawn(seed, clusters, size, mean, alike, sizes_of), 0.95).low > mean
        for seed in range(500)
    )
    assert passed <= 25


def test_one_large_cluster_is_not_as_good_as_many():
    """All succeed, and nine in ten images are of one film: most films may fail as well."""
    of = np.concatenate([np.zeros(1000, int), np.arange(1, 100)])
    assert cluster_interval(np.ones(len(of), np.bool_), of, 0.95).low < 0.1
