import itertools
from collections.abc import Callable
from functools import cache

import numpy as np
import pytest
from numpy.typing import NDArray

from imaging import Resampler, inside_disc, nearest_intervals, rotate_images

Mask = NDArray[np.bool_]


def sampled(size: int, degrees: NDArray[np.float64], mask: Mask) -> list[bytes]:
    """What the masked pixels show at the angles, from a few lines of plain arithmetic."""
    half = (size - 1) / 2
    rows, columns = np.nonzero(mask)
    x, y = columns - half, half - rows
    shown = []
    for t in np.deg2rad(degrees):
        column = np.floor(x * np.cos(t) + y * np.sin(t) + half + 0.5).astype(int)
        row = np.floor(half - (y * np.cos(t) - x * np.sin(t)) + 0.5).astype(int)
        outside = (column < 0) | (column >= size) | (row < 0) | (row >= size)
        shown.append(np.where(outside, -1, row * size + column).tobytes())
    return shown


def distinct(shown: list[bytes]) -> int:
    return 1 + sum(a != b for a, b in itertools.pairwise(shown))


@cache
def all_images(size: int) -> NDArray[np.intp]:
    return np.concatenate(list(nearest_intervals(size).sources()))


def crossing_angles(size: int, mask: Mask) -> NDArray[np.float64]:
    """By arc cosines in floats, those that agree to 1e-10 as one: another way."""
    half = (size - 1) / 2
    rows, columns = np.nonzero(mask)
    x, y = columns - half, half - rows
    found = []
    for border in np.arange(-size / 2, size / 2 + 1):
        with np.errstate(divide="ignore"):
            ratio = border / np.hypot(x, y)
        far = np.abs(ratio) < 1
        middle, width = np.arctan2(y[far], x[far]), np.arccos(ratio[far])
        for angle in (middle + width, middle - width):
            found += [angle, angle + np.pi / 2]
    angles = np.sort(np.rad2deg(np.concatenate(found)) % 360)
    angles = angles[angles < 90]
    return angles[np.diff(angles, prepend=-1) > 1e-10]


def test_dense_sampling_finds_as_many_images_and_no_other() -> None:
    for size in [1, 2, 3, 5, 8, 9]:
        intervals = nearest_intervals(size)
        step = np.diff(intervals.ends).min() / 3
        degrees = np.arange(step / 7, 90, step)
        shown = sampled(size, degrees, inside_disc(size))
        assert distinct(shown) == intervals.count
        expected = all_images(size)[:, inside_disc(size).ravel()]
        interval = np.searchsorted(intervals.ends, degrees) - 1
        assert shown == [expected[m].astype(np.int64).tobytes() for m in interval]


@pytest.mark.parametrize("size", [27, 28])
def test_each_interval_shows_what_its_middle_shows(size: int) -> None:
    intervals, mask = nearest_intervals(size), inside_disc(size)
    middles = (intervals.ends[:-1] + intervals.ends[1:]) / 2
    expected = [row.astype(np.int64).tobytes() for row in all_images(size)[:, mask.ravel()]]
    assert sampled(size, middles, mask) == expected
    assert (all_images(size)[:, ~mask.ravel()] == size * size).all()


def test_there_are_2724_images_at_28_pixels() -> None:
    """And 3,342 of the whole square, whose corners leave it: counted by brute force."""

    def count(mask: Mask) -> int:
        ends = np.concatenate([[0], crossing_angles(28, mask), [90]])
        return distinct(sampled(28, (ends[1:] + ends[:-1]) / 2, mask))

    assert count(inside_disc(28)) == nearest_intervals(28).count == 2724
    assert count(np.ones((28, 28), bool)) == 3342


def test_the_ends_of_the_intervals_are_where_pixels_cross() -> None:
    intervals = nearest_intervals(28)
    assert np.abs(intervals.ends[1:-1] - crossing_angles(28, inside_disc(28))).max() < 1e-10
    assert np.allclose(intervals.ends + intervals.ends[::-1], 90, atol=1e-10)
    assert intervals.decided.all()


def test_the_walk_ends_at_the_quarter_turn() -> None:
    mask = inside_disc(28)
    expected = np.where(mask, np.rot90(np.arange(784).reshape(28, 28)), 784)
    assert np.array_equal(all_images(28)[-1], expected.ravel())


def test_the_resampler_makes_the_same_images() -> None:
    """The sampled part's nearest neighbour is the proved part's."""
    image = np.random.default_rng(0).integers(0, 256, (1, 1, 28, 28), dtype=np.uint8)
    intervals, inside = nearest_intervals(28), inside_disc(28)
    padded = np.append(image.ravel(), np.uint8(0))
    for interval in range(0, intervals.count, 100):
        middle = float(intervals.ends[interval] + intervals.ends[interval + 1]) / 2
        resampled = rotate_images(image, middle, Resampler("nearest"))[0, 0]
        assert np.array_equal(resampled[inside], padded[all_images(28)[interval]][inside.ravel()])


def test_where_pixels_tie_the_interval_that_begins_is_shown() -> None:
    """At 45 degrees the antidiagonal of an even grid lies midway between two columns."""
    image = np.arange(64, dtype=np.uint8).reshape(1, 1, 8, 8)
    intervals = nearest_intervals(8)
    interval = int(np.argmin(np.abs(intervals.ends - 45)))
    assert intervals.ends[interval] == pytest.approx(45, abs=1e-12)
    begins = np.append(image.ravel(), np.uint8(0))[all_images(8)[interval]].reshape(8, 8)
    inside = inside_disc(8)
    assert np.array_equal(
        rotate_images(image, 45.0, Resampler("nearest"))[0, 0][inside], begins[inside]
    )


def test_equal_angles_are_found_to_be_equal() -> None:
    """Pixels that cross together make one end: of each axis 5,716 crossings, at 2,723 angles."""
    intervals = nearest_intervals(28)
    assert len(intervals.pixels) == 2 * 5716
    assert (np.diff(intervals.starts) >= 0).all()


def test_chunks_change_nothing() -> None:
    for chunk in [1, 7, 10_000]:
        assert np.array_equal(
            np.concatenate(list(nearest_intervals(9).sources(chunk))), all_images(9)
        )


@pytest.mark.parametrize("size", [0, 129])
def test_other_sizes_are_refused(size: int) -> None:
    with pytest.raises(ValueError, match="1 to 128 are accepted"):
        nearest_intervals(size)


@pytest.mark.parametrize(
    "shift", [lambda t: t + 0.01, lambda t: -t], ids=["a little on", "clockwise"]
)
def test_the_comparison_refuses_other_angles(
    shift: Callable[[NDArray[np.float64]], NDArray[np.float64]],
) -> None:
    intervals, mask = nearest_intervals(28), inside_disc(28)
    middles = shift((intervals.ends[:-1] + intervals.ends[1:]) / 2)
    expected = [row.astype(np.int64).tobytes() for row in all_images(28)[:, mask.ravel()]]
    assert sampled(28, middles, mask) != expected
