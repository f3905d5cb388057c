"""Rotate images by any angle, by a resampler that is declared and commutes with quarter turns.

Where a pixel of the rotated image comes from is counted in whole parts of a pixel from the image's
centre, and what is interpolated there is a sum of integers, held in float64 where every partial sum
is exact, with one rounding at the end. So a rotation by an angle and a quarter more is the same,
bit for bit, as a rotation by the angle with a quarter turn on the grid before or after it.
"""

import threading
from collections import OrderedDict
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from imaging.refusal import RefusedError

Method = Literal["nearest", "bilinear", "bicubic"]

# Positions are multiples of 1 / UNIT pixel, and the weights along an axis sum to UNIT. No partial
# sum of a bicubic filter exceeds 255 * (1.25 * UNIT)**2 < 2**42.
UNIT: Final = 2**16

# Where a pixel lies midway between two others, the nearest is what it is a little later:
# so many degrees, which is more than the error of a cosine and less than anybody asks for.
_LATER: Final = 1e-9

# Bytes of the tables that are kept: 72 of 28 x 28 pixels, bilinear, take less than 4 MB; one of
# 256 x 256, bicubic, takes 17.
_KEPT: Final = 2**26

# The first tap along an axis, counted from the pixel at or before the position, and their number.
_FIRST_TAP: Final = {"bilinear": 0, "bicubic": -1}


@dataclass(frozen=True)
class Resampler:
    """How the pixels of a rotated image are found.

    The image rotates about its centre, (n - 1) / 2 in pixel indices.

    Attributes
    ----------
    method
        `"nearest"`, `"bilinear"`, or `"bicubic"` with the kernel of R. G. Keys, IEEE Transactions
        on Acoustics, Speech and Signal Processing 29 (1981) 1153, a = -1/2.
    fill
        Grey level, 0 to 255, of what lies outside the image.

    Raises
    ------
    ValueError
        If one of them is out of its range.
    """

    method: Method = "bilinear"
    fill: int = 0

    def __post_init__(self) -> None:
        if self.method not in get_args(Method):
            accepted = ", ".join(get_args(Method))
            raise RefusedError(f"There is no resampler {self.method!r}; {accepted} are accepted.")
        if not 0 <= self.fill <= 255:
            raise RefusedError(f"The fill is {self.fill}; a grey level from 0 to 255 is accepted.")


def rotate_images(
    images: NDArray[np.uint8], degrees: float | NDArray[np.float64], resampler: Resampler
) -> NDArray[np.uint8]:
    """Rotate images counterclockwise.

    A multiple of 90 degrees is `GridSymmetry(False, k)`, bit for bit. The tables of an angle that
    all images share are computed once and kept.

    Parameters
    ----------
    images : uint8 [N, C, n, n]
    degrees
        One angle for all images, or float64 [N]: one for each.
    resampler
        How pixels are interpolated, and what lies outside.

    Raises
    ------
    ValueError
        If the images are not square uint8 [N, C, n, n], or an angle is not finite, or there is not
        one for each image.
    """
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[2] != images.shape[3]:
        raise ValueError(
            f"The images are {images.dtype} of shape {images.shape}; square uint8 [N, C, n, n] "
            "is accepted."
        )
    if not np.isfinite(degrees).all():
        raise ValueError("An angle is NaN or infinity; finite degrees are accepted.")
    size = images.shape[-1]
    if isinstance(degrees, np.ndarray):
        if degrees.shape != images.shape[:1]:
            raise ValueError(
                f"There are angles of shape {degrees.shape} for {len(images)} images; one for "
                "each is accepted."
            )
        return _rotate_each(images, _table(size, degrees, resampler.method), resampler.fill)
    table = _tables.get(size, float(degrees), resampler.method)
    return _rotate_all(images, table, resampler.fill)


def inside_disc(size: int) -> NDArray[np.bool_]:
    """Which pixel centres lie less than half a side from the centre, bool [size, size].

    The disc is what a square keeps of itself at every angle: a nearest pixel is never outside.
    """
    return _disc(size).copy()


def keep_disc(images: NDArray[np.uint8], fill: int) -> NDArray[np.uint8]:
    """Give the pixels of images [..., n, n] outside the disc the grey level `fill`."""
    return np.where(_disc(images.shape[-1]), images, np.uint8(fill))


def doubled_positions(size: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Twice the place of each pixel, rightwards and upwards from the centre: int64 [size, size].

    Doubled, so that they are integers: the pixels' centres have the parity of size - 1, and the
    borders between pixels the other one.
    """
    places = 2 * np.arange(size, dtype=np.int64) - (size - 1)
    x, y = np.meshgrid(places, -places)
    return x, y


@lru_cache(maxsize=8)
def _disc(size: int) -> NDArray[np.bool_]:
    x, y = doubled_positions(size)
    inside: NDArray[np.bool_] = x**2 + y**2 < size**2
    return inside


def axis_weights(size: int, degrees: float, method: Method) -> NDArray[np.int64]:
    """What a rotation interpolates with, in 1 / UNIT: int64 [2, T, P], T taps of each of P pixels.

    Those of its rows come first, then those of its columns.
    """
    x, y = _positions(size, np.array([degrees]))
    middle = (size - 1) * (UNIT // 2)
    along = [_taps(middle + _in_units(position), method)[1][0] for position in (-y, x)]
    return np.stack(along)


@dataclass(frozen=True, eq=False)
class _Table:
    """What each of P pixels is made of at A angles.

    Attributes
    ----------
    sources : intp [A, T, P]
        Flat indices of T source pixels; P stands for the outside.
    weights : float64 [A, T, P], or None
        In 1 / UNIT**2; None where there is one source, taken as it is.
    """

    sources: NDArray[np.intp]
    weights: NDArray[np.float64] | None

    @property
    def nbytes(self) -> int:
        """Memory that it takes."""
        return self.sources.nbytes + (0 if self.weights is None else self.weights.nbytes)


class _Tables:
    """Tables of angles that many images share, the last used ones, up to so many bytes in all."""

    def __init__(self, budget: int) -> None:
        self._budget = budget
        self._kept: OrderedDict[tuple[int, float, Method], _Table] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def get(self, size: int, degrees: float, method: Method) -> _Table:
        """Return the table of one angle: the one that is kept, or a new one."""
        key = size, degrees, method
        with self._lock:
            if (known := self._kept.get(key)) is not None:
                self._kept.move_to_end(key)
                return known
            table = self._kept[key] = _table(size, np.array([degrees]), method)
            self._bytes += table.nbytes
            # The newest stays, however large: it is what is rotated by now.
            while self._bytes > self._budget and len(self._kept) > 1:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
            return table


_tables: Final = _Tables(_KEPT)


def _table(size: int, degrees: NDArray[np.float64], method: Method) -> _Table:
    if method == "nearest":
        x, y = _positions(size, degrees, _LATER)
        columns, rows = np.floor(x + size / 2), np.floor(size / 2 - y)
        return _Table(_flat(rows.astype(np.intp), columns.astype(np.intp), size)[:, None], None)
    x, y = _positions(size, degrees)
    middle = (size - 1) * (UNIT // 2)
    columns, column_weights = _taps(middle + _in_units(x), method)
    rows, row_weights = _taps(middle - _in_units(y), method)
    pixels = size * size
    sources = _flat(rows[:, :, None], columns[:, None], size)
    weights = row_weights[:, :, None] * column_weights[:, None]
    return _Table(
        sources.reshape(len(degrees), -1, pixels),
        weights.reshape(len(degrees), -1, pixels).astype(np.float64),
    )


def _positions(
    size: int, degrees: NDArray[np.float64], later: float = 0.0
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Where the pixels of images rotated by A angles come from, from the centre: float64 [A, P].

    The angle is brought into the first quadrant and its cosine and sine rotated back by whole
    quarters, so that positions rotate by whole quarters without rounding.
    """
    quarters, rest = np.divmod(degrees, 90.0)
    first = np.deg2rad(rest + later)
    cosine, sine = np.cos(first), np.sin(first)
    turns = quarters.astype(np.int64) % 4
    cosines = np.choose(turns, [cosine, -sine, -cosine, sine])[:, None]
    sines = np.choose(turns, [sine, cosine, -sine, -cosine])[:, None]
    x, y = (doubled.ravel() / 2 for doubled in doubled_positions(size))
    return x * cosines + y * sines, y * cosines - x * sines


def _in_units(positions: NDArray[np.float64]) -> NDArray[np.int64]:
    # Ties go to even numbers, so that a position and its opposite round alike.
    return np.rint(positions * UNIT).astype(np.int64)


def _taps(
    positions: NDArray[np.int64], method: Method
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Indices and weights along one axis at positions [A, P]: int64 [A, taps, P] both."""
    before, part = np.divmod(positions, UNIT)
    weights = _linear(part) if method == "bilinear" else _cubic(part)
    first = _FIRST_TAP[method]
    steps = np.arange(first, first + len(weights))
    return before[:, None] + steps[:, None], np.moveaxis(weights, 0, 1)


def _linear(part: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.stack([UNIT - part, part])


def _cubic(part: NDArray[np.int64]) -> NDArray[np.int64]:
    """Keys' kernel at the distances 1 + t, t, 1 - t and 2 - t.

    Rounded to even numbers, what their sum lacks is even too and goes to both inner taps alike:
    weights read from the other end are those of the mirrored position.
    """
    t = part / UNIT
    exact = np.stack([_outer(1 + t), _inner(t), _inner(1 - t), _outer(2 - t)])
    weights = 2 * np.rint(exact * (UNIT // 2)).astype(np.int64)
    weights[1:3] += (UNIT - weights.sum(axis=0)) // 2
    return weights


def _inner(t: NDArray[np.float64]) -> NDArray[np.float64]:
    return (1.5 * t - 2.5) * t * t + 1


def _outer(t: NDArray[np.float64]) -> NDArray[np.float64]:
    return ((-0.5 * t + 2.5) * t - 4) * t + 2


def _flat(rows: NDArray[np.int64], columns: NDArray[np.int64], size: int) -> NDArray[np.intp]:
    """Flat indices, size * size for what is outside."""
    inside = (rows >= 0) & (rows < size) & (columns >= 0) & (columns < size)
    return np.where(inside, rows * size + columns, size * size).astype(np.intp)


def _rotate_all(images: NDArray[np.uint8], table: _Table, fill: int) -> NDArray[np.uint8]:
    """One angle for all: whole rows of [P + 1, N * C] are gathered."""
    shape = images.shape
    pixels = shape[-1] * shape[-2]
    flat = np.full((pixels + 1, shape[0] * shape[1]), fill, np.uint8)
    flat[:pixels] = images.reshape(-1, pixels).T
    if table.weights is None:
        rotated = flat[table.sources[0, 0]]
    else:
        total = np.zeros((pixels, flat.shape[1]))
        for sources, weights in zip(table.sources[0], table.weights[0], strict=True):
            total += flat[sources] * weights[:, None]
        rotated = _rounded(total)
    return np.ascontiguousarray(rotated.T).reshape(shape)


def _rotate_each(images: NDArray[np.uint8], table: _Table, fill: int) -> NDArray[np.uint8]:
    shape = images.shape
    pixels = shape[-1] * shape[-2]
    flat = np.full((*shape[:2], pixels + 1), fill, np.uint8)
    flat[..., :pixels] = images.reshape(*shape[:2], pixels)
    taps = np.moveaxis(table.sources, 1, 0)[:, :, None]
    if table.weights is None:
        return np.take_along_axis(flat, taps[0], axis=-1).reshape(shape)
    total = np.zeros((*shape[:2], pixels))
    for sources, weights in zip(taps, np.moveaxis(table.weights, 1, 0), strict=True):
        total += np.take_along_axis(flat, sources, axis=-1) * weights[:, None]
    return _rounded(total).reshape(shape)


def _rounded(total: NDArray[np.float64]) -> NDArray[np.uint8]:
    return np.clip(np.floor(total / float(UNIT**2) + 0.5), 0, 255).astype(np.uint8)
