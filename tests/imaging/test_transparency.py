"""Transparency is laid on black, and grey is made of colours, with one rounding in all."""

import io
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from imaging import decode

LUMA = np.array([19595, 38470, 7471])
RANDOM = np.random.default_rng(2)


def nearest(numerator: NDArray[np.int64], unit: int) -> NDArray[np.int64]:
    """The nearest of 256 levels, by integers alone; the upper one of two."""
    return (numerator * 510 + unit) // (2 * unit)


def saved(image: Image.Image, kind: str, **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def every_pair() -> NDArray[np.uint8]:
    """All levels at all alphas, [256, 256, 2]."""
    return np.stack(np.mgrid[:256, :256], -1).astype(np.uint8)


@pytest.mark.parametrize("channels", [1, 3])
def test_every_level_at_every_alpha_in_grey(channels: Any) -> None:
    pairs = every_pair()
    expected = nearest(pairs.astype(np.int64).prod(axis=-1), 255**2)
    found = decode(saved(Image.fromarray(pairs, "LA"), "PNG"), channels)
    assert np.array_equal(found, np.broadcast_to(expected, found.shape))


def colours(kind: str) -> tuple[bytes, NDArray[np.int64]]:
    """A file of random colours and alphas, and its samples [H, W, 4]."""
    pairs = every_pair()
    rgba = np.concatenate((RANDOM.integers(0, 256, (256, 256, 2), np.uint8), pairs), axis=-1)
    if kind == "TIFF":
        file = io.BytesIO()
        tifffile.imwrite(file, rgba, photometric="rgb", extrasamples=["unassalpha"])
        return file.getvalue(), rgba.astype(np.int64)
    if kind == "BMP":  # Pillow writes it without the masks that say what is alpha
        return bytes(cv2.imencode(".bmp", rgba[..., [2, 1, 0, 3]])[1]), rgba.astype(np.int64)
    options = {"lossless": True, "exact": True} if kind == "WEBP" else {}
    return saved(Image.fromarray(rgba, "RGBA"), kind, **options), rgba.astype(np.int64)


def test_colours_of_eight_bits() -> None:
    for kind in ["PNG", "WEBP", "TIFF", "BMP"]:
        data, rgba = colours(kind)
        laid = rgba[..., :3] * rgba[..., 3:]
        assert np.array_equal(decode(data, 3), np.moveaxis(nearest(laid, 255**2), -1, 0))
        assert np.array_equal(decode(data, 1)[0], nearest(laid @ LUMA, 255**2 * 2**16))


def test_colours_of_sixteen_bits() -> None:
    rgba = RANDOM.integers(0, 65536, (64, 64, 4), np.uint16)
    data = bytes(cv2.imencode(".png", rgba[..., [2, 1, 0, 3]])[1])
    laid = rgba[..., :3].astype(np.int64) * rgba[..., 3:]
    assert np.array_equal(decode(data, 3), np.moveaxis(nearest(laid, 65535**2), -1, 0))
    assert np.array_equal(decode(data, 1)[0], nearest(laid @ LUMA, 65535**2 * 2**16))


def test_grey_of_sixteen_bits() -> None:
    pairs = RANDOM.integers(0, 65536, (64, 64, 2), np.uint16)
    file = io.BytesIO()
    tifffile.imwrite(file, pairs, photometric="minisblack", extrasamples=["unassalpha"])
    expected = nearest(pairs.astype(np.int64).prod(axis=-1), 65535**2)
    assert np.array_equal(decode(file.getvalue(), 1)[0], expected)


def test_a_transparent_colour_of_eight_bits() -> None:
    rgb = RANDOM.integers(0, 256, (64, 64, 3), np.uint8)
    rgb[5, 6] = (1, 2, 3)
    data = saved(Image.fromarray(rgb), "PNG", transparency=(1, 2, 3))
    rgb[(rgb == (1, 2, 3)).all(axis=-1)] = 0
    assert np.array_equal(decode(data, 3), np.moveaxis(rgb, -1, 0))
    assert np.array_equal(decode(data, 1)[0], nearest(rgb.astype(np.int64) @ LUMA, 255 * 2**16))
