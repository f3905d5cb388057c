"""Damping takes from images what a rotation takes, and does not rotate them."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

import imaging.damping as damping_module
from imaging import Resampler, damp, grid_symmetries, rotate_images
from imaging.resample import axis_weights, inside_disc

SIZE = 32
Images = NDArray[np.uint8]
DAMPING = pytest.mark.parametrize("method", ["bilinear", "bicubic"])


@pytest.fixture(scope="module")
def textures() -> Images:
    """100 pictures without a direction, with detail of a few pixels, that fade at their border."""
    noise = np.random.default_rng(4).normal(size=(100, 1, SIZE, SIZE))
    smooth = gaussian_filter(noise, (0, 0, 0.8, 0.8))
    window = np.hanning(SIZE + 2)[1:-1]
    faded = smooth / smooth.std() * 50 * window[:, None] * window
    return np.clip(np.rint(128 + faded), 0, 255).astype(np.uint8)


def spectrum(images: Images) -> NDArray[np.float64]:
    """Mean power by radius, in rings of a tenth of the highest frequency along an axis."""
    power = (np.abs(np.fft.fft2(images.astype(np.float64) - 128)) ** 2).mean(axis=(0, 1))
    frequencies = np.fft.fftfreq(SIZE)
    ring = (np.hypot(*np.meshgrid(frequencies, frequencies)) * 20).astype(int)
    return np.array([power[ring == r].mean() for r in range(8)])


def off_by(changed: Callable[..., Images], textures: Images, method: Any, degrees: float) -> float:
    """Largest relative distance of a spectrum from that of rotated images."""
    resampler = Resampler(method, 128)
    rotated = spectrum(rotate_images(textures, degrees, resampler))
    return float(np.abs(spectrum(changed(textures, degrees, resampler)) / rotated - 1).max())


@DAMPING
@pytest.mark.parametrize("degrees", [5.0, 30.0, 45.0])
def test_the_spectrum_is_that_of_rotated_images(
    textures: Images, method: Any, degrees: float
) -> None:
    def there_and_back(images: Images, degrees: float, resampler: Resampler) -> Images:
        return rotate_images(rotate_images(images, degrees, resampler), -degrees, resampler)

    assert off_by(damp, textures, method, degrees) < 0.08
    assert off_by(there_and_back, textures, method, degrees) > 0.2
    assert off_by(lambda images, *_: images, textures, method, degrees) > 0.2


@DAMPING
def test_a_gain_without_its_root_is_noticed(
    textures: Images, method: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    damping_module._even_weights.cache_clear()
    monkeypatch.setattr(np, "sqrt", lambda x: x)
    distance = off_by(damp, textures, method, 30.0)
    damping_module._even_weights.cache_clear()
    assert distance > 0.2


@DAMPING
def test_it_moves_nothing(method: Any) -> None:
    """The middle of a spot stays where it is, to a hundredth of a pixel, at any angle."""
    places = np.arange(SIZE) - 20.3
    x, y = np.meshgrid(places, places + 7)
    spot = np.rint(255 * np.exp(-(x**2 + y**2) / 6)).astype(np.uint8)[None, None]

    def middle(images: Images) -> NDArray[np.float64]:
        light = images[0, 0].astype(np.float64)
        return np.array([(light * x).sum(), (light * y).sum()]) / light.sum()

    for degrees in (1.0, 17.0, 45.0):
        damped = damp(spot, degrees, Resampler(method))
        assert not np.array_equal(damped, spot)
        assert np.abs(middle(damped) - middle(spot)).max() < 0.01


@DAMPING
@pytest.mark.parametrize("fill", [0, 90])
def test_it_commutes_with_the_symmetries_of_the_grid(
    textures: Images, method: Any, fill: int
) -> None:
    resampler = Resampler(method, fill)
    damped = damp(textures[:8], 23.0, resampler)
    for g in grid_symmetries("D4"):
        rotated = np.ascontiguousarray(g(textures[:8]))
        assert np.array_equal(damp(rotated, 23.0, resampler), g(damped))


@DAMPING
@pytest.mark.parametrize("degrees", [0.0, 90.0, -180.0])
def test_a_quarter_turn_damps_nothing(textures: Images, method: Any, degrees: float) -> None:
    assert np.array_equal(damp(textures, degrees, Resampler(method)), textures)


@DAMPING
def test_an_even_grey_that_is_the_fill_stays(method: Any) -> None:
    grey = np.full((2, 3, 9, 9), 77, np.uint8)
    assert np.array_equal(damp(grey, 31.0, Resampler(method, 77)), grey)


@DAMPING
def test_what_is_brighter_by_a_level_is_so_when_damped(method: Any) -> None:
    """Weights that add up to a little more or less than one would round a part of it otherwise."""
    dark = np.random.default_rng(0).integers(60, 100, (4, 1, 128, 128), np.uint8)
    for degrees in (7.0, 23.0, 31.0, 40.0):
        both = (damp(dark + level, degrees, Resampler(method)) for level in (0, np.uint8(90)))
        inner, brighter = (found[..., 16:-16, 16:-16].astype(int) for found in both)
        assert np.array_equal(brighter - inner, np.full_like(inner, 90))


@DAMPING
def test_an_angle_for_each_image(textures: Images, method: Any) -> None:
    degrees = np.array([3.0, 31.0, 90.0])
    each = damp(textures[:3], degrees, Resampler(method))
    for n in range(3):
        alone = damp(textures[n : n + 1], float(degrees[n]), Resampler(method))
        assert np.array_equal(each[n : n + 1], alone)


@DAMPING
def test_the_weights_are_those_that_a_rotation_interpolates_with(method: Any) -> None:
    """A bright pixel: what a rotation makes of it are products of its weights."""
    image = np.zeros((1, 1, 9, 9), np.uint8)
    image[0, 0, 4, 4] = 255
    rotated = rotate_images(image, 20.0, Resampler(method))[0, 0].ravel()
    rows, columns = axis_weights(9, 20.0, method) / 2**16
    largest = 255 * rows.max(axis=0) * columns.max(axis=0)
    assert rotated[40] == np.rint(largest[40])
    assert np.allclose(rows.sum(axis=0), 1)
    assert np.allclose(columns.sum(axis=0), 1)


@DAMPING
@pytest.mark.parametrize(("size", "degrees"), [(9, 5.0), (32, 30.0)])
def test_the_gain_is_the_root_of_the_mean_power_of_the_weights_in_the_disc(
    method: Any, size: int, degrees: float
) -> None:
    """By Fourier transforms of the weights, in floats: but for rounding all greys are the same."""
    in_disc = axis_weights(size, degrees, method)[..., inside_disc(size).ravel()] / 2**16
    power = (np.abs(np.fft.fft(in_disc, 256, axis=1)) ** 2).mean(axis=(0, 2))
    places = np.arange(size)
    filters = np.fft.ifft(np.sqrt(power)).real[np.abs(places[:, None] - places)]
    images = np.random.default_rng(0).choice([0, 255], (8, 1, size, size)).astype(np.uint8)
    expected = np.clip(filters @ (images - 90.0) @ filters + 90, 0, 255)
    assert np.abs(damp(images, degrees, Resampler(method, 90)) - expected).max() < 0.55


def test_the_nearest_pixel_is_refused(textures: Images) -> None:
    with pytest.raises(ValueError, match="'bilinear' and 'bicubic' are accepted"):
        damp(textures, 10.0, Resampler("nearest"))
