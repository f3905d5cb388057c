"""Each image is chosen with the same probability, however images come in requests."""

import math
from random import Random

import pytest

from service.shadow.sampler import Sampler


def chosen(share: float, sizes: list[int], seed: int) -> list[int]:
    """Where, in all images one after the other, the chosen ones are."""
    sampler, start, found = Sampler(share, Random(seed)), 0, list[int]()
    for size in sizes:
        indices = sampler.draw(size)
        assert all(0 <= i < size for i in indices)
        found += [start + i for i in indices]
        start += size
    return found


@pytest.mark.parametrize("share", [0.001, 0.1, 0.5, 0.9, 1.0])
def test_how_images_are_grouped_into_requests_changes_nothing(share: float) -> None:
    whole = chosen(share, [6000], seed=3)
    assert chosen(share, [1] * 6000, seed=3) == whole
    assert chosen(share, [1, 2, 3, 64, 30, 100] * 30, seed=3) == whole


def test_a_share_of_one_takes_all() -> None:
    assert chosen(1.0, [3, 1, 2], seed=0) == [0, 1, 2, 3, 4, 5]


@pytest.mark.parametrize("share", [0.01, 0.1, 0.5, 0.9])
def test_the_share_is_the_one_that_is_asked_for(share: float) -> None:
    """Within five standard deviations of a binomial, which errs once in two million times."""
    count = 200_000
    found = len(chosen(share, [1] * count, seed=7))
    assert abs(found - share * count) < 5 * math.sqrt(count * share * (1 - share))


def test_images_are_chosen_independently_of_those_before() -> None:
    """Pairs of neighbours of which both are chosen are share squared of all."""
    share, count = 0.3, 200_000
    places = set(chosen(share, [1] * count, seed=11))
    both = sum(place + 1 in places for place in places)
    assert abs(both - share**2 * count) < 5 * math.sqrt(count * share**2)


def test_the_first_image_is_as_likely_as_any_other() -> None:
    share, runs = 0.25, 4000
    first = sum(bool(Sampler(share, Random(seed)).draw(1)) for seed in range(runs))
    assert abs(first - share * runs) < 5 * math.sqrt(runs * share * (1 - share))


@pytest.mark.parametrize("share", [1e-12, 1e-300, 5e-324])
def test_a_share_that_is_almost_nothing_chooses_nothing(share: float) -> None:
    assert chosen(share, [1000] * 1000, seed=1) == []
