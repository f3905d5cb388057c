"""BMP files in runs, RLE8 and RLE4: every row where the file says that it is.

Pillow's reader of runs loses rows without a pixel, and reads on at the wrong byte where the pixels
begin at an odd one.
"""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from imaging.formats.errors import broken

_END_OF_ROW, _END, _MOVE = range(3)
"""What the second byte says where the first is 0; a larger one counts single pixels."""

_COMMAND: Final = 2
"""Bytes that say what comes."""

_MOVED: Final = 2
"""Bytes that say how far to the right, and how far up, the next pixel is."""

_MOST_RUNS: Final = 2**22
"""Runs and moves: each takes as long as a thousand pixels, and who writes runs has few of them."""

_HALVES: Final = [bytes((byte >> 4, byte & 15)) for byte in range(256)]
"""The two pixels of a byte in RLE4."""


def read_runs(data: bytes, width: int, height: int, *, halves: bool) -> NDArray[np.uint8]:
    """Read the indices of an image in runs, uint8 [H, W], its bottom row first.

    Pixels that are left out have the palette's first colour.

    Parameters
    ----------
    data
        The runs.
    halves
        Whether a byte is two pixels, as in RLE4.

    Raises
    ------
    ImageError
        If the runs go on beyond a row, end before the image does, or are too many.
    """
    shown = bytearray(width * height)
    x = y = at = runs = 0
    while len(data) - at >= _COMMAND:
        runs += 1
        if runs > _MOST_RUNS:
            raise broken(f"it is in more than {_MOST_RUNS} runs")
        count, value = data[at], data[at + 1]
        at += _COMMAND
        if count:
            pixels = (_HALVES[value] * count)[:count] if halves else data[at - 1 : at] * count
        elif value == _END:
            break
        elif value == _END_OF_ROW:
            x, y = 0, y + 1
            continue
        elif value == _MOVE:
            x, y = x + sum(data[at : at + 1]), y + sum(data[at + 1 : at + _MOVED])
            at += _MOVED
            continue
        else:
            length = (value + 1) // 2 if halves else value
            written = data[at : at + length]
            pixels = b"".join(map(_HALVES.__getitem__, written))[:value] if halves else written
            at += length + length % 2
        if x + len(pixels) > width or y >= height:
            raise broken("a run of its pixels goes on beyond the row")
        start = y * width + x
        shown[start : start + len(pixels)] = pixels
        x += len(pixels)
    else:
        if y * width + x < width * height:
            raise broken("its pixels end before the image does")
    return np.frombuffer(shown, np.uint8).reshape(height, width)
