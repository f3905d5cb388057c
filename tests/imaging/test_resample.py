from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy import ndimage

import imaging.resample as resample_module
from imaging import Resampler, inside_disc, keep_disc, rotate_images

METHODS = ["nearest", "bilinear", "bicubic"]


def noise(size: int, count: int = 3, channels: int = 2) -> NDArray[np.uint8]:
    shape = (count, channels, size, size)
    return np.random.default_rng(size).integers(0, 256, shape, dtype=np.uint8)


def rotated(images: NDArray[np.uint8], quarters: int) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.rot90(images, quarters, axes=(-2, -1)))


def test_a_right_angle_is_the_quarter_turn_of_the_grid_bit_for_bit() -> None:
    for size, method in product([1, 2, 7, 28], METHODS):
        images, resampler = noise(size), Resampler(method, fill=17)
        for quarters in range(-5, 6):
            expected = rotated(images, quarters)
            assert np.array_equal(rotate_images(images, 90.0 * quarters, resampler), expected)
            each = rotate_images(images, np.full(3, 90.0 * quarters), resampler)
            assert np.array_equal(each, expected)


@given(
    st.sampled_from(METHODS),
    st.sampled_from([5, 8]),
    st.one_of(st.sampled_from([15.0, 30.0, 45.0, 60.0]), st.floats(0, 90)),
    st.integers(0, 3),
)
def test_quarter_turns_before_and_after_are_the_same_bit_for_bit(
    method: str, size: int, degrees: float, quarters: int
) -> None:
    images, resampler = noise(size), Resampler(method, fill=99)
    after = rotated(rotate_images(images, degrees, resampler), quarters)
    assert np.array_equal(rotate_images(rotated(images, quarters), degrees, resampler), after)
    assert np.array_equal(rotate_images(images, degrees + 90.0 * quarters, resampler), after) or (
        degrees + 90.0 * quarters - 90.0 * quarters != degrees  # the sum was rounded
    )


def test_the_pixels_are_those_of_scipy() -> None:
    """Within the disc, where no pixel needs the outside; scipy's own turn is counterclockwise."""
    for degrees, (method, order) in product(
        [10.0, 33.3, 200.1, -71.0], [("nearest", 0), ("bilinear", 1)]
    ):
        images = noise(28, 1, 1)
        theirs = ndimage.rotate(
            images[0, 0].astype(float), degrees, reshape=False, order=order, mode="nearest"
        )
        ours = rotate_images(images, degrees, Resampler(method))[0, 0]
        inner = inside_disc(26)
        assert np.abs(theirs - ours)[1:-1, 1:-1][inner].max() <= (0 if order == 0 else 0.51)


def test_bicubic_reproduces_what_keys_kernel_reproduces() -> None:
    """A plane, exactly, and so any position: half a pixel is not lost on the way."""
    size, degrees = 28, 31.0
    places = np.arange(size) - (size - 1) / 2
    x, y = np.meshgrid(places, -places)
    plane = (128.5 + 3 * x + 2 * y)[None, None]
    images = np.rint(plane).astype(np.uint8)
    c, s = np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))
    expected = 128.5 + 3 * (x * c + y * s) + 2 * (y * c - x * s)
    inner = np.pad(inside_disc(22), 3)
    for method in ("bilinear", "bicubic"):
        difference = rotate_images(images, degrees, Resampler(method))[0, 0] - expected
        assert np.abs(difference[inner]).max() < 0.51


def test_a_constant_image_stays_as_it_is() -> None:
    for level, method in product([0, 1, 254, 255], METHODS):
        images = np.full((2, 1, 28, 28), level, np.uint8)
        for degrees in np.linspace(0, 360, 23):
            assert (
                rotate_images(images, float(degrees), Resampler(method, fill=level)) == level
            ).all()


def test_the_outside_has_the_fill() -> None:
    corner = rotate_images(noise(28, 1, 1) // 2, 45.0, Resampler("nearest", fill=255))[0, 0, 0, 0]
    assert corner == 255


def test_each_image_can_have_an_angle_of_its_own() -> None:
    for method in METHODS:
        images, resampler = noise(9, 5), Resampler(method, fill=3)
        angles = np.array([0.0, 12.5, 90.0, 200.0, -33.0])
        alone = [
            rotate_images(images[i : i + 1], float(a), resampler) for i, a in enumerate(angles)
        ]
        assert np.array_equal(rotate_images(images, angles, resampler), np.concatenate(alone))
        assert not np.array_equal(
            rotate_images(images, float(angles[1]), resampler), np.concatenate(alone)
        )


def test_the_disc_rotations_onto_itself_and_keeps_what_is_inside() -> None:
    images = noise(28)
    inside = inside_disc(28)
    assert np.array_equal(inside, np.rot90(inside))
    assert inside.sum() == 616
    kept = keep_disc(images, 9)
    assert (kept[..., ~inside] == 9).all()
    assert np.array_equal(kept[..., inside], images[..., inside])


def test_what_cannot_be_rotated_is_refused() -> None:
    for call, sentence in [
        (lambda: Resampler("lanczos"), "There is no resampler 'lanczos'"),
        (lambda: Resampler("nearest", 256), "The fill is 256"),
        (lambda: rotate_images(noise(4).astype(float), 1.0, Resampler()), "float64 of shape"),
        (lambda: rotate_images(noise(4)[:, :, :2], 1.0, Resampler()), "square uint8"),
        (lambda: rotate_images(noise(4), np.nan, Resampler()), "NaN"),
        (lambda: rotate_images(noise(4), np.zeros(2), Resampler()), "one for each"),
    ]:
        with pytest.raises(ValueError, match=sentence):
            call()


def test_the_tables_of_an_angle_are_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[float] = []

    def counted(size: int, degrees: NDArray[np.float64], method: str) -> object:
        made.extend(degrees)
        return table(size, degrees, method)

    table = resample_module._table
    monkeypatch.setattr(resample_module, "_tables", resample_module._Tables(2**26))
    monkeypatch.setattr(resample_module, "_table", counted)
    for _ in range(3):
        for degrees in (10.0, 20.0):
            rotate_images(noise(28), degrees, Resampler())
    assert made == [10.0, 20.0]


def test_tables_that_are_kept_have_a_bound() -> None:
    one = resample_module._table(28, np.array([1.0]), "bicubic").nbytes
    tables = resample_module._Tables(budget=3 * one)
    for degrees in range(10):
        tables.get(28, float(degrees), "bicubic")
        assert len(tables._kept) <= 3
    assert [degrees for _, degrees, _ in tables._kept] == [7.0, 8.0, 9.0]
    assert tables._bytes == 3 * one
    large = tables.get(100, 5.0, "bicubic")
    assert list(tables._kept.values()) == [large]
    assert tables.get(100, 5.0, "bicubic") is large
