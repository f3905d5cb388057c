from collections.abc import Callable
from dataclasses import replace
from math import ceil
from typing import Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from imaging import FitPolicy, fit, grid_symmetries

Fit = Callable[[NDArray[np.uint8], FitPolicy], NDArray[np.uint8]]

GREYS = st.integers(0, 255)


def noise(channels: int, height: int, width: int, seed: int) -> NDArray[np.uint8]:
    """Noise at full contrast: every other rounding would show."""
    return np.random.default_rng(seed).integers(0, 256, (channels, height, width), dtype=np.uint8)


images = st.builds(
    noise, st.sampled_from([1, 3]), st.integers(1, 400), st.integers(1, 600), st.integers(0, 2**32)
)
SIZES, FILTERS = st.integers(1, 80), st.sampled_from(["bilinear", "bicubic"])
policies = st.one_of(
    st.builds(
        FitPolicy,
        SIZES,
        st.sampled_from(["pad", "crop", "stretch"]),
        GREYS,
        st.none(),
        FILTERS,
    ),
    st.builds(
        lambda size, mode, more, fill, kind: FitPolicy(size, mode, fill, size + more, kind),
        SIZES,
        st.sampled_from(["resize-crop", "stretch"]),
        st.integers(0, 60),
        GREYS,
        FILTERS,
    ),
)


oblong_policies = st.builds(
    lambda policy, width: replace(
        policy,
        width=min(width, 16 * policy.size),
        resize=None if policy.resize is None else max(policy.resize, width),
    ),
    policies.filter(lambda policy: policy.size >= 3),
    st.integers(5, 60),
)


def commutes(fit_: Fit, image: NDArray[np.uint8], policy: FitPolicy) -> bool:
    """Whether fitting commutes with all symmetries of the input, bit for bit."""
    fitted = fit_(image, policy)
    height, width = policy.shape
    elements = grid_symmetries("D4" if height == width else "D2")
    return all(np.array_equal(fit_(g(image), policy), g(fitted)) for g in elements)


# --- equivariance -----------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(images, policies)
def test_fit_commutes_with_the_symmetries_of_the_square(
    image: NDArray[np.uint8], policy: FitPolicy
) -> None:
    assert commutes(fit, image, policy)


@pytest.mark.slow
@settings(max_examples=60, deadline=None)
@given(images, oblong_policies)
def test_fitting_to_an_oblong_input_commutes_with_its_half_turn_and_mirror_images(
    image: NDArray[np.uint8], policy: FitPolicy
) -> None:
    assert fit(image, policy).shape[1:] == policy.shape
    assert commutes(fit, image, policy)


@settings(max_examples=30, deadline=None)
@given(images, oblong_policies)
def test_a_quarter_turn_of_the_image_is_one_of_the_input_as_well(
    image: NDArray[np.uint8], policy: FitPolicy
) -> None:
    height, width = policy.shape
    upright = replace(policy, size=width, width=height)
    assert np.array_equal(
        fit(np.rot90(image, 1, (1, 2)), upright), np.rot90(fit(image, policy), 1, (1, 2))
    )


@pytest.mark.parametrize("mode", ["pad", "crop"])
@pytest.mark.parametrize("size", [1, 2, 7, 8])
def test_fit_commutes_on_every_small_size(size: int, mode: str) -> None:
    policy = FitPolicy(size, mode, fill=200)  # type: ignore[arg-type]
    for height in range(1, 11):
        for width in range(1, 11):
            assert commutes(fit, noise(1, height, width, seed=height * width), policy)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 200), st.integers(1, 100), st.integers(0, 40), st.integers(0, 2**32))
def test_ties_are_rounded_alike_in_every_orientation(
    height: int, half_width: int, half_size: int, seed: int
) -> None:
    # A picture that its own mirror image complements: the middle column is 127.5 all along, and
    # the least inexact sum would round some of it down.
    left = noise(1, height, half_width, seed)
    image = np.concatenate([left, 255 - left[..., ::-1]], axis=-1)
    policy = FitPolicy(2 * half_size + 1, "crop")
    assert (fit(image, policy)[..., half_size] == 128).all()
    assert commutes(fit, image, policy)


def two_pass_resize(image: NDArray[np.uint8], policy: FitPolicy) -> NDArray[np.uint8]:
    """Pillow rounds to 8 bits between its horizontal and its vertical pass."""
    side = policy.shape[::-1]
    planes = [Image.fromarray(p).resize(side, Image.Resampling.BILINEAR) for p in image]
    return np.stack([np.asarray(plane) for plane in planes])


def pad_towards_one_end(image: NDArray[np.uint8], policy: FitPolicy) -> NDArray[np.uint8]:
    """An odd difference is split into unequal halves."""
    _, height, width = image.shape
    side = max(height, width)
    top, left = (side - height) // 2, (side - width) // 2
    bands = ((0, 0), (top, side - height - top), (left, side - width - left))
    return fit(np.pad(image, bands, constant_values=policy.fill), policy)


def nearest_neighbour(image: NDArray[np.uint8], policy: FitPolicy) -> NDArray[np.uint8]:
    """Ties fall to one side."""
    sides = zip(policy.shape, image.shape[1:], strict=True)
    rows, columns = (np.arange(size) * n // size for size, n in sides)
    return image[:, rows[:, None], columns]


@pytest.mark.parametrize(
    ("mutant", "height", "width", "input_width"),
    [
        (two_pass_resize, 100, 100, None),
        (pad_towards_one_end, 30, 33, None),
        (nearest_neighbour, 30, 30, None),
        (pad_towards_one_end, 30, 33, 56),
        (nearest_neighbour, 30, 30, 56),
    ],
)
def test_the_check_refuses_a_fit_that_does_not_commute(
    mutant: Fit, height: int, width: int, input_width: int | None
) -> None:
    image, policy = noise(1, height, width, seed=0), FitPolicy(28, width=input_width)
    assert commutes(fit, image, policy)
    assert not commutes(mutant, image, policy)


# --- a good resizer ---------------------------------------------------------------------------


def triangle_matrix(length: int, window: float, size: int) -> NDArray[np.float64]:
    """Rows of the antialiased triangle filter over the centred window, as its definition reads.

    Columns are the pixels from `-window` to `length + window`, so that padding is visible.
    """
    start, scale, beyond = (length - window) / 2, window / size, ceil(window)
    matrix = np.zeros((size, length + 2 * beyond))
    for o in range(size):
        centre = start + (o + 0.5) * scale
        for column in range(matrix.shape[1]):
            i = column - beyond
            triangle = max(0.0, 1 - abs(i + 0.5 - centre) / max(scale, 1))
            overlap = max(0.0, min(i + 1, start + window) - max(i, start))
            matrix[o, column] = triangle * overlap
    return matrix / matrix.sum(axis=1, keepdims=True)


def reference(image: NDArray[np.uint8], policy: FitPolicy) -> NDArray[np.float64]:
    _, height, width = image.shape
    high, wide = policy.shape
    choose = max if policy.mode == "pad" else min
    scale = choose(height / high, width / wide)
    bands = ((0, 0), *((ceil(scale * side), ceil(scale * side)) for side in policy.shape))
    padded = np.pad(image, bands, constant_values=policy.fill).astype(np.float64)
    rows = triangle_matrix(height, scale * high, high)
    columns = triangle_matrix(width, scale * wide, wide)
    return rows @ padded @ columns.T


@settings(max_examples=40, deadline=None)
@given(
    st.builds(noise, st.just(1), st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**32)),
    st.builds(
        FitPolicy,
        st.integers(3, 40),
        st.sampled_from(["pad", "crop"]),
        GREYS,
        width=st.one_of(st.none(), st.integers(3, 40)),
    ),
)
def test_fit_is_the_triangle_filter_rounded_once(
    image: NDArray[np.uint8], policy: FitPolicy
) -> None:
    # Half a grey level is the rounding itself; integer weights in 2**22 add next to nothing.
    assert np.abs(fit(image, policy) - reference(image, policy)).max() < 0.5 + 1e-3


@pytest.mark.parametrize(("height", "width"), [(280, 280), (300, 200), (61, 97), (28, 20), (9, 13)])
def test_fit_agrees_with_pillow_to_one_grey_level(height: int, width: int) -> None:
    image = noise(1, height, width, seed=1)
    side = max(height, width)
    square = np.full((1, side, side), 50, np.uint8)
    top, left = (side - height) // 2, (side - width) // 2
    square[:, top : top + height, left : left + width] = image
    difference = fit(image, FitPolicy(28, "pad", 50)) - two_pass_resize(
        square, FitPolicy(28)
    ).astype(np.int64)
    assert np.abs(difference).max() <= 1


def soft_noise(height: int, width: int) -> NDArray[np.uint8]:
    """Noise that a bicubic filter does not carry out of range, where Pillow cuts after one pass."""
    return 64 + noise(1, height, width, seed=1) // 2


RESAMPLING = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@pytest.mark.parametrize("kind", RESAMPLING)
@pytest.mark.parametrize(("height", "width"), [(280, 280), (300, 200), (61, 97), (28, 20), (9, 13)])
def test_stretching_agrees_with_pillow_to_one_grey_level(
    height: int, width: int, kind: Literal["bilinear", "bicubic"]
) -> None:
    image = soft_noise(height, width)
    expected = Image.fromarray(image[0]).resize((28, 28), RESAMPLING[kind])
    fitted = fit(image, FitPolicy(28, "stretch", filter=kind)).astype(np.int64)
    assert np.abs(fitted[0] - np.asarray(expected)).max() <= 1


@pytest.mark.parametrize("kind", RESAMPLING)
def test_stretching_and_cropping_agrees_with_pillow_to_one_grey_level(
    kind: Literal["bilinear", "bicubic"],
) -> None:
    image = soft_noise(61, 97)
    resized = np.asarray(Image.fromarray(image[0]).resize((32, 32), RESAMPLING[kind]))
    fitted = fit(image, FitPolicy(28, "stretch", resize=32, filter=kind)).astype(np.int64)
    assert np.abs(fitted[0] - resized[2:30, 2:30]).max() <= 1


@pytest.mark.parametrize("kind", RESAMPLING)
@pytest.mark.parametrize(("height", "width"), [(320, 480), (96, 64), (64, 64), (40, 20)])
def test_resizing_and_cropping_agree_with_pillow_to_one_grey_level(
    height: int, width: int, kind: Literal["bilinear", "bicubic"]
) -> None:
    """Of sides that come out whole; in between, Pillow rounds them, and ours lie in the middle."""
    image = soft_noise(height, width)
    short = min(height, width)
    sides = width * 32 // short, height * 32 // short
    resized = np.asarray(Image.fromarray(image[0]).resize(sides, RESAMPLING[kind]))
    top, left = (resized.shape[0] - 28) // 2, (resized.shape[1] - 28) // 2
    policy = FitPolicy(28, "resize-crop", resize=32, filter=kind)
    expected = resized[top : top + 28, left : left + 28].astype(np.int64)
    assert np.abs(fit(image, policy)[0] - expected).max() <= 1
    assert not np.array_equal(fit(image, policy), fit(image, FitPolicy(28, "crop")))


def test_what_lies_beyond_the_crop_is_seen_by_its_border_alone() -> None:
    """As where the whole image is resized first; a crop that comes first sees nothing of it."""
    image = noise(1, 64, 64, seed=6)
    framed = image.copy()
    framed[:, :4] = framed[:, -4:] = framed[:, :, :4] = framed[:, :, -4:] = 0
    policy = FitPolicy(28, "resize-crop", resize=32)
    changed = (fit(image, policy) != fit(framed, policy))[0]
    assert changed.any()
    assert not changed[1:-1, 1:-1].any()


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 300), st.integers(1, 300), GREYS, policies)
def test_a_constant_stays_constant(height: int, width: int, grey: int, policy: FitPolicy) -> None:
    image = np.full((1, height, width), grey, np.uint8)
    assert (fit(image, replace(policy, fill=grey)) == grey).all()
    if policy.mode != "pad":  # of the others, no pixel is outside of the image
        assert (fit(image, replace(policy, fill=255 - grey)) == grey).all()


@pytest.mark.slow
@pytest.mark.parametrize("size", [1, 28, 3000])
def test_the_sums_stay_exact_at_the_largest_side_and_the_brightest_grey(size: int) -> None:
    image = np.full((1, 2**16, 1), 255, np.uint8)
    assert (fit(image, FitPolicy(size, "pad", fill=255)) == 255).all()
    striped = noise(1, 2**16, 2, seed=3)
    policy = FitPolicy(size, "pad", fill=255, filter="bicubic" if size == 28 else "bilinear")
    assert np.array_equal(fit(striped[:, ::-1], policy), fit(striped, policy)[:, ::-1])


# --- the policy -------------------------------------------------------------------------------


@given(st.integers(1, 40), st.sampled_from(["pad", "crop"]), GREYS)
def test_an_image_of_the_right_size_is_unchanged(size: int, mode: str, fill: int) -> None:
    image = noise(3, size, size, seed=size)
    policy = FitPolicy(size, mode, fill)  # type: ignore[arg-type]
    assert np.array_equal(fit(image, policy), image)


def test_padding_shows_the_whole_image_and_fills_the_rest() -> None:
    image = noise(1, 4, 8, seed=4)
    fitted = fit(image, FitPolicy(8, "pad", fill=99))
    assert np.array_equal(fitted[:, 2:6], image)
    assert (fitted[:, :2] == 99).all()
    assert (fitted[:, 6:] == 99).all()


def test_cropping_shows_the_middle_and_nothing_beyond() -> None:
    image = noise(1, 4, 8, seed=5)
    assert np.array_equal(fit(image, FitPolicy(4, "crop")), image[:, :, 2:6])
    image[:, :, :2] = image[:, :, 6:] = 0
    blackened = fit(image, FitPolicy(2, "crop"))
    image[:, :, :2] = image[:, :, 6:] = 255
    assert np.array_equal(fit(image, FitPolicy(2, "crop")), blackened)


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ({"size": 0}, "size is 0"),
        ({"size": 2**16 + 1}, "size is 65537"),
        ({"size": 28, "mode": "zoom"}, "mode is 'zoom'"),
        ({"size": 28, "filter": "box"}, "filter is 'box'"),
        ({"size": 28, "mode": "resize-crop"}, "goes with a size to resize to"),
        ({"size": 28, "resize": 32}, "'pad' goes with no size"),
        ({"size": 28, "mode": "resize-crop", "resize": 27}, "resized to 27 pixels; 28"),
        ({"size": 28, "fill": 256}, "fill is 256"),
        ({"size": 28, "fill": -1}, "fill is -1"),
    ],
)
def test_a_policy_out_of_range_is_refused(arguments: dict[str, object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        FitPolicy(**arguments)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((28, 28), np.uint8),
        np.zeros((1, 28, 28), np.float32),
        np.zeros((1, 0, 28), np.uint8),
        np.zeros((1, 2**16 + 1, 1), np.uint8),
    ],
)
def test_what_is_not_an_image_is_refused(image: NDArray[np.uint8]) -> None:
    with pytest.raises(ValueError, match="accepted"):
        fit(image, FitPolicy(28))
