"""What is white in images of more than 8 bits whose file does not say so."""

import io
from itertools import product
from typing import Any

import cv2
import numpy as np
import pytest
import tifffile
from numpy.typing import NDArray
from PIL import Image

from imaging import ImageError, RefusedError, check_white_level, decode

RANDOM = np.random.default_rng(12)
TWELVE = RANDOM.integers(0, 4096, (13, 17), dtype=np.uint16)
TWELVE[0, 0] = 4095
OME = b'<OME><Image><Pixels SignificantBits="%d"/></Image></OME>'


def tiff(samples: NDArray[Any], **options: Any) -> bytes:
    file = io.BytesIO()
    tifffile.imwrite(file, samples, **options)
    return file.getvalue()


def png(samples: NDArray[Any]) -> bytes:
    return bytes(cv2.imencode(".png", samples)[1])


def levels(samples: NDArray[Any], white: int) -> NDArray[np.int64]:
    return (samples.astype(np.int64) * 510 + white) // (2 * white)


def test_the_level_is_white() -> None:
    for white, write in product([4095, 5000], [tiff, png]):
        data = write(TWELVE)
        assert np.array_equal(decode(data, 1, white_level=white)[0], levels(TWELVE, white))
        assert np.array_equal(decode(data, 1)[0], levels(TWELVE, 65535))


@pytest.mark.parametrize("write", [tiff, png])
def test_colours_have_it_too(write: Any) -> None:
    colours = RANDOM.integers(0, 1024, (5, 7, 3), dtype=np.uint16)
    given = colours[..., ::-1] if write is png else colours  # OpenCV's order
    found = decode(write(given), 3, white_level=1023)
    assert np.array_equal(found, np.moveaxis(levels(colours, 1023), -1, 0))


@pytest.mark.parametrize("write", [tiff, png])
def test_eight_bits_have_a_white_of_their_own(write: Any) -> None:
    grey = RANDOM.integers(0, 256, (5, 7), dtype=np.uint8)
    assert np.array_equal(decode(write(grey), 1, white_level=4095)[0], grey)


def test_a_depth_that_is_no_larger_is_the_white() -> None:
    ten = TWELVE >> 2
    packed = tiff(np.stack([ten] * 3, -1), photometric="rgb", bitspersample=10)
    assert np.array_equal(decode(packed, 1, white_level=4095), decode(packed, 1))


def test_a_statement_of_the_file_counts_first() -> None:
    data = tiff(TWELVE >> 2, description=OME % 10)
    assert np.array_equal(decode(data, 1, white_level=4095)[0], levels(TWELVE >> 2, 1023))


@pytest.mark.parametrize("tag", [281, 341])
def test_a_maximum_that_may_be_statistics_counts_last(tag: int) -> None:
    dark = np.minimum(TWELVE, 1023)
    data = tiff(dark, extratags=[(tag, "H", 1, 1023, True)])
    assert np.array_equal(decode(data, 1)[0], levels(dark, 1023))
    assert np.array_equal(decode(data, 1, white_level=4095)[0], levels(dark, 4095))


@pytest.mark.parametrize("write", [tiff, png])
def test_samples_above_it_are_refused(write: Any) -> None:
    bright = TWELVE.copy()
    bright[3, 4] = 4096
    said = r"white level of 4095, and samples up to 4096; .* accepted\.$"
    with pytest.raises(ImageError, match=said):
        decode(write(bright), 1, white_level=4095)


def test_what_is_transparent_may_be_above_it() -> None:
    bright = TWELVE.copy()
    bright[3, 4] = 65535
    file = io.BytesIO()
    Image.fromarray(bright).save(file, "PNG", transparency=65535)
    assert decode(file.getvalue(), 1, white_level=4095)[0, 3, 4] == 0


def test_a_level_that_no_such_samples_have_is_refused() -> None:
    for level in [-1, 0, 255, 65536]:
        with pytest.raises(RefusedError, match="256 to 65535 are accepted"):
            check_white_level(level)
