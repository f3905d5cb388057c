"""Pictures are what Pillow reads, and the same bytes wherever they are written."""

import hashlib
import io
import zlib

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from imaging import png

DIGEST = "8a5cb4697e612d416b2a95f6146c2bc594c1a38f1c1b36a42ba3017e4c9e7500"
RANDOM = np.random.default_rng(3)


def read(data: bytes) -> NDArray[np.uint8]:
    with Image.open(io.BytesIO(data)) as picture:
        picture.verify()
    with Image.open(io.BytesIO(data)) as picture:
        pixels = np.asarray(picture)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def test_a_small_image_is_kept_pixel_for_pixel() -> None:
    for shape in [(1, 28, 28), (3, 96, 7), (1, 1, 1), (3, 200, 200)]:
        image = RANDOM.integers(0, 256, shape, dtype=np.uint8)
        assert np.array_equal(read(png(image, longest=200)), image)


def test_a_large_image_is_shrunk_by_a_whole_factor() -> None:
    small = RANDOM.integers(0, 256, (3, 60, 50), dtype=np.uint8)
    large = small.repeat(4, axis=1).repeat(4, axis=2)
    assert np.array_equal(read(png(large, longest=60)), small)
    assert read(png(large, longest=100)).shape == (3, 80, 66)


def test_the_bytes_are_those_of_every_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """No compressor is asked, so none can differ; the digest was written down once."""
    monkeypatch.setattr(zlib, "compress", None)
    monkeypatch.setattr(zlib, "compressobj", None)
    image = (np.arange(3 * 90 * 90) * 7 % 256).astype(np.uint8).reshape(3, 90, 90)
    assert hashlib.sha256(png(image)).hexdigest() == DIGEST


def test_what_is_no_picture_is_refused() -> None:
    for image in [np.zeros((2, 8, 8), np.uint8), np.zeros((1, 8, 8)), np.zeros((8, 8), np.uint8)]:
        with pytest.raises(ValueError, match=r"uint8 \[1, H, W\] or \[3, H, W\] is accepted"):
            png(image)
