"""Every image that nearest-neighbour rotation makes of one image: one for each interval of angles.

A pixel of the rotated image shows the same source pixel until its position crosses the border to
the next. In doubled coordinates, where pixel centres and borders are integers, pixel (X, Y) crosses
the vertical border B where X cos t + Y sin t = B. With R^2 = X^2 + Y^2 and D = R^2 - B^2 that is at

    cos t = (B X -+ Y sqrt(D)) / R^2,    sin t = (B Y +- X sqrt(D)) / R^2.

These are numbers p + q sqrt(d) with rational p and q and a squarefree d, which are equal exactly
when p, q and d are: which pixels cross at the same angle is decided in integers. Floats only order
angles that differ, and what a pixel shows after a crossing is known from the border, not computed
from an angle.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from imaging.refusal import RefusedError
from imaging.resample import doubled_positions, inside_disc

NARROWEST: Final = 1e-9
"""In degrees. A cosine is off by some 1e-16, and so an angle of a quarter of a degree, the smallest
there is, by less than 1e-11 degrees: floats order angles that are farther apart than this, and what
lies closer together is left undecided."""

_LARGEST: Final = 128


@dataclass(frozen=True, eq=False)
class AngleIntervals:
    """The intervals of the first quarter turn; the other quarters are these, rotated on the grid.

    Only pixels inside the disc rotate, and all others show the outside: see `inside_disc`.

    Attributes
    ----------
    size
        Side of the images, in pixels.
    ends : float64 [M + 1]
        In degrees, from 0 to 90: between ends m and m + 1 the image is the same.
    pixels, axes, places : int64 [E]
        The crossings in their order: which pixel, along rows (0) or columns (1), and which row or
        column it shows from there on.
    starts : int64 [M]
        The first crossing at the beginning of each interval; no crossing lies at 0.
    """

    size: int
    ends: NDArray[np.float64]
    pixels: NDArray[np.int64]
    axes: NDArray[np.int64]
    places: NDArray[np.int64]
    starts: NDArray[np.int64]

    @property
    def count(self) -> int:
        """The number of intervals, M."""
        return len(self.ends) - 1

    @property
    def decided(self) -> NDArray[np.bool_]:
        """Which intervals are wider than what floats tell apart, bool [M]."""
        wide: NDArray[np.bool_] = np.diff(self.ends) > NARROWEST
        return wide

    def sources(self, chunk: int = 256) -> Iterator[NDArray[np.intp]]:
        """Yield what the pixels show on the intervals in turn, intp [up to chunk, size * size].

        They are flat indices; size * size stands for the outside.
        """
        size, outside = self.size, self.size * self.size
        here = np.stack(np.divmod(np.arange(outside), size))
        inside = inside_disc(size).ravel()
        bounds = [*self.starts, len(self.pixels)]
        for first in range(0, self.count, chunk):
            intervals = range(first, min(first + chunk, self.count))
            shown = np.full((len(intervals), outside), outside, np.intp)
            for row, interval in enumerate(intervals):
                now = slice(bounds[interval], bounds[interval + 1])
                here[self.axes[now], self.pixels[now]] = self.places[now]
                shown[row, inside] = (here[0] * size + here[1])[inside]
            yield shown


@lru_cache(maxsize=4)
def nearest_intervals(size: int) -> AngleIntervals:
    """Compute the intervals for images of a size; their number grows with its cube.

    Raises
    ------
    ValueError
        If the size is not 1 to 128.
    """
    if not 1 <= size <= _LARGEST:
        raise RefusedError(
            f"The images have {size} pixels a side; 1 to {_LARGEST} are accepted where every angle "
            "is tried."
        )
    crossings = _crossings(size)
    groups, angles = _simultaneous(crossings)
    # The vertical borders of pixel (Y, -X) are the horizontal ones of (X, Y), which lies a quarter
    # turn on from it.
    flat = np.rot90(np.arange(size * size).reshape(size, size), -1).ravel()
    pixels = np.concatenate([crossings.pixels, flat[crossings.pixels]])
    columns = (crossings.beyond + size - 1) // 2
    rows = (size - 1 - crossings.beyond) // 2
    order = np.argsort(np.concatenate([groups, groups]), kind="stable")
    sorted_groups = np.concatenate([groups, groups])[order]
    axes = np.repeat([1, 0], len(groups))
    starts = np.searchsorted(sorted_groups, np.arange(len(angles)))
    return AngleIntervals(
        size=size,
        ends=np.concatenate([[0.0], angles, [90.0]]),
        pixels=pixels[order],
        axes=axes[order],
        places=np.concatenate([columns, rows])[order],
        starts=np.concatenate([[0], starts]),
    )


@dataclass(frozen=True, eq=False)
class _Crossings:
    """E crossings of vertical borders, int64 [E] each.

    Attributes
    ----------
    pixels
        Flat index of the pixel that crosses.
    beyond
        The doubled column that it comes to.
    rational, irrational, radicand, denominator
        cos t = (rational + irrational * sqrt(radicand)) / denominator.
    """

    pixels: NDArray[np.int64]
    beyond: NDArray[np.int64]
    rational: NDArray[np.int64]
    irrational: NDArray[np.int64]
    radicand: NDArray[np.int64]
    denominator: NDArray[np.int64]


def _crossings(size: int) -> _Crossings:
    """All crossings of a vertical border by a pixel of the disc in the first quarter turn.

    Modulo 4, R^2 is 2 and B^2 is 0 where the size is even, and 0 and 1 where it is odd. So D is 2
    or 3, which no square is: no position only touches a border, and sqrt(D) is irrational. No
    crossing lies at 0 or 90 degrees, where positions are pixel centres, so that
    R^2 cos t = a + b sqrt(D) is never 0, nor is R^2 sin t. As |a^2 - b^2 D| >= 1, it is 1e-5 or
    more at the sizes that are accepted, and its float, which is off by 1e-11 at most, has its sign.
    """
    x, y = (doubled.ravel() for doubled in doubled_positions(size))
    squares = x**2 + y**2
    candidates = inside_disc(size).ravel()[:, None] & (
        squares[:, None] > np.arange(-size, size + 1, 2) ** 2
    )
    pixels, border = np.nonzero(candidates)
    b = 2 * border - size
    x, y, squares = x[pixels], y[pixels], squares[pixels]
    root, radicand = _square_part(squares - b**2)
    parts = []
    for sign in (-1, 1):
        # Its height is then sign * sqrt(D), and that is how fast it moves to the right.
        rational, irrational = b * x, sign * y * root
        cosine = rational + irrational * np.sqrt(radicand)
        sine = b * y - sign * x * root * np.sqrt(radicand)
        here = (cosine > 0) & (sine > 0)
        columns = (pixels, b + sign, rational, irrational, radicand, squares)
        parts.append([column[here] for column in columns])
    return _Crossings(*map(np.concatenate, zip(*parts, strict=True)))


def _square_part(numbers: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Write each number as f^2 d with squarefree d, and return f and d."""
    largest = int(numbers.max(initial=1))
    root = np.ones(largest + 1, np.int64)
    for f in range(2, int(largest**0.5) + 1):
        root[f * f :: f * f] = f
    parts: NDArray[np.int64] = root[numbers]
    return parts, numbers // parts**2


def _simultaneous(
    crossings: _Crossings,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Number the angles in their order from 0: the number of each crossing's, and the degrees."""
    rational, irrational = crossings.rational, crossings.irrational
    radicand, denominator = crossings.radicand.copy(), crossings.denominator
    radicand[irrational == 0] = 1
    shared = np.gcd(np.gcd(rational, irrational), denominator)
    names = np.stack(
        [rational // shared, irrational // shared, radicand, denominator // shared], axis=1
    )
    _, first, groups = np.unique(names, axis=0, return_index=True, return_inverse=True)
    p, q, d, r = names[first].T.astype(np.float64)
    angles = np.rad2deg(np.arccos((p + q * np.sqrt(d)) / r))
    order = np.argsort(angles)
    rank = np.empty_like(order)
    rank[order] = np.arange(len(order))
    return rank[groups.ravel()], angles[order]
