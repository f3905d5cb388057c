"""Fit an image to a model's input, so that fitting commutes bit for bit with the symmetries of the
input: those of the square, or the half turn and the mirror images of an oblong one.

An ordinary resizer rounds to 8 bits between its two passes, so the order of the passes shows and a
rotated image gets other pixels. Here both passes are sums of integers, held in float64 below 2**53
where every product and every partial sum is exact in any order, and there is one rounding, at the
end. The weights are integers that a mirror image leaves as they are.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from imaging.refusal import RefusedError

MAX_SIDE = 2**16
"""Largest side of an image or an input, in pixels. It keeps the integers of `_weights` in int64."""

MOST_OBLONG = 16
"""How many times one side of an input may be as long as the other: so far do the filters reach."""

_HALF = 2**21
# The weights of one output pixel along one axis sum to _UNIT, so no partial sum of the two passes
# exceeds 255 * _UNIT**2 < 2**52. As a power of two it also divides without an error.
_UNIT = 2 * _HALF

# So many output pixels share one matrix product: narrow enough to skip most of the zeros outside
# the filter's support, wide enough for BLAS to pay.
_BLOCK = 16

FitMode = Literal["pad", "crop", "stretch", "resize-crop"]
FitFilter = Literal["bilinear", "bicubic"]

Integers = NDArray[Any]
"""Of int64, or Python's own where those are too small."""


@dataclass(frozen=True)
class FitPolicy:
    """How an image of any size becomes an input.

    Attributes
    ----------
    size
        Side of the input in pixels, or its height if it is oblong.
    mode
        `"pad"` shows the whole image and fills the rest of the input; `"crop"` shows the largest
        part of the input's proportions in the middle of the image; `"stretch"` shows the whole
        image with its sides scaled apart, or scales each to ``resize`` pixels and shows the
        input's size in the middle; `"resize-crop"` scales the shorter side to ``resize``
        pixels and shows the input's size in the middle, as networks trained on ImageNet expect.
    fill
        Grey level, 0 to 255, of what lies outside the image.
    resize
        For `"resize-crop"`: the shorter side, in pixels, at least the longer one of the input. For
        `"stretch"`: both sides, where less than the whole image is shown.
    filter
        Both are antialiased: their support grows with the reduction. The bicubic one is that of
        Keys (1981) with a = -1/2, as Pillow's.
    width
        Of an oblong input; None of a square one.

    Raises
    ------
    ValueError
        If one of them is out of its range.
    """

    size: int
    mode: FitMode = "pad"
    fill: int = 0
    resize: int | None = None
    filter: FitFilter = "bilinear"
    width: int | None = None

    def __post_init__(self) -> None:
        for side in self.shape:
            if not 1 <= side <= MAX_SIDE:
                raise RefusedError(f"The input size is {side}; 1 to {MAX_SIDE} is accepted.")
        if max(self.shape) > MOST_OBLONG * min(self.shape):
            raise RefusedError(
                f"The input is {self.size} x {self.width} pixels; one side may be up to "
                f"{MOST_OBLONG} times the other."
            )
        if self.mode not in get_args(FitMode):
            modes = ", ".join(f"'{mode}'" for mode in get_args(FitMode))
            raise RefusedError(f"The fit mode is {self.mode!r}; {modes} are accepted.")
        if not 0 <= self.fill <= 255:
            raise RefusedError(f"The fill is {self.fill}; a grey level from 0 to 255 is accepted.")
        if self.filter not in get_args(FitFilter):
            raise RefusedError(
                f"The filter is {self.filter!r}; 'bilinear' and 'bicubic' are accepted."
            )
        if self.resize is None and self.mode == "resize-crop":
            raise RefusedError("The mode 'resize-crop' goes with a size to resize to.")
        if self.resize is not None and self.mode not in ("resize-crop", "stretch"):
            raise RefusedError(
                f"The mode {self.mode!r} goes with no size to resize to; 'resize-crop' and "
                "'stretch' do."
            )
        if self.resize is not None and not max(self.shape) <= self.resize <= MAX_SIDE:
            raise RefusedError(
                f"Images are resized to {self.resize} pixels; {max(self.shape)}, the input size, "
                f"to {MAX_SIDE} is accepted."
            )

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the input."""
        return self.size, self.width or self.size

    @property
    def keeps(self) -> bool:
        """Whether an image of the input's size comes back as it is."""
        return self.resize is None or self.shape == (self.resize, self.resize)


def fit(image: NDArray[np.uint8], policy: FitPolicy) -> NDArray[np.uint8]:
    """Resize an image to the input of a model.

    The filter runs over a window around the image's centre. For every symmetry `g` of the input,
    `fit(g(image), policy)` equals `g(fit(image, policy))` bit for bit, and an image that has the
    right size already comes back as it is, unless it is to be resized to another one. A square
    input has the symmetries of the square; an oblong one the half turn and the mirror images.

    Parameters
    ----------
    image : uint8 [C, H, W]
    policy
        The input's size, and what becomes of an image of other proportions.

    Returns
    -------
    uint8 [C, height, width]

    Raises
    ------
    ValueError
        If the image is not a uint8 array [C, H, W] with sides of 1 to 65536 pixels.
    """
    if image.dtype != np.uint8 or image.ndim != 3:
        raise ValueError(
            f"The image is {image.dtype} of shape {image.shape}; uint8 [C, H, W] is accepted."
        )
    _, height, width = image.shape
    if not (1 <= height <= MAX_SIDE and 1 <= width <= MAX_SIDE):
        raise RefusedError(
            f"The image has {width} x {height} pixels; sides of 1 to {MAX_SIDE} are accepted."
        )
    if (height, width) == policy.shape and policy.keeps:
        return image

    high, wide = policy.shape
    rows = _axis(*_window(height, width, high, wide, policy), high, policy.filter)
    columns = _axis(*_window(width, height, wide, high, policy), wide, policy.filter)
    outside = float(_UNIT**2) - np.outer(rows.inside, columns.inside)
    total = _apply_both(rows, columns, image) + policy.fill * outside
    levels = total / float(_UNIT**2) + 0.5
    if policy.filter == "bicubic":  # which overshoots
        levels = np.clip(levels, 0, 255)
    return levels.astype(np.uint8)  # truncation rounds down


def _window(
    length: int, other: int, size: int, other_size: int, policy: FitPolicy
) -> tuple[int, int | Fraction, bool]:
    """Return the length of an axis, that of its window, and whether what is beyond that counts.

    The axis becomes ``size`` pixels, and the ``other`` one ``other_size``.
    """
    if policy.mode == "stretch" and policy.resize is None:
        return length, length, False
    if policy.mode == "stretch":
        return length, Fraction(length * size, policy.resize), True
    if policy.resize is not None:
        return length, Fraction(min(length, other) * size, policy.resize), True
    in_proportion = other if size == other_size else Fraction(other * size, other_size)
    return length, (max if policy.mode == "pad" else min)(length, in_proportion), False


@dataclass(frozen=True)
class _Block:
    """The weights, float64 [inputs, outputs], of a run of output pixels."""

    inputs: slice
    outputs: slice
    weights: NDArray[np.float64]


@dataclass(frozen=True)
class _Axis:
    """The linear map of one axis, and the weight in `_UNIT`s that falls inside the image."""

    blocks: tuple[_Block, ...]
    inside: NDArray[np.float64]

    def apply(self, x: NDArray[np.uint8] | NDArray[np.float64]) -> NDArray[np.float64]:
        """Map the last axis."""
        y = np.empty((*x.shape[:-1], len(self.inside)))
        for block in self.blocks:
            y[..., block.outputs] = x[..., block.inputs] @ block.weights
        return y


def _apply_both(rows: _Axis, columns: _Axis, image: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Map both axes, the longer one first: what lies in between stays small."""
    _, height, width = image.shape
    if height > width:
        return columns.apply(rows.apply(image.swapaxes(1, 2)).swapaxes(1, 2))
    return rows.apply(columns.apply(image).swapaxes(1, 2)).swapaxes(1, 2)


@lru_cache(maxsize=32)
def _axis(
    length: int, window: int | Fraction, beyond: bool, size: int, filter_: FitFilter
) -> _Axis:
    first, weights = _weights(length, window, beyond, size, filter_)
    index = first[:, None] + np.arange(weights.shape[1])
    weights[(index < 0) | (index >= length)] = 0
    blocks = tuple(_blocks(first, weights, length))
    return _Axis(blocks, weights.sum(axis=1).astype(np.float64))


def _blocks(first: NDArray[np.int64], weights: NDArray[np.int64], length: int) -> Iterator[_Block]:
    size, taps = weights.shape
    for start in range(0, size, _BLOCK):
        stop = min(start + _BLOCK, size)
        low = int(first[start])
        dense = np.zeros((int(first[stop - 1]) + taps - low, stop - start))
        for o in range(start, stop):
            top = int(first[o]) - low
            dense[top : top + taps, o - start] = weights[o]
        left, right = np.clip([low, low + len(dense)], 0, length).tolist()
        yield _Block(slice(left, right), slice(start, stop), dense[left - low : right - low])


def _weights(
    length: int, window: int | Fraction, beyond: bool, size: int, filter_: FitFilter
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The integer filter of one axis: the first pixel [size] and the weights [size, taps].

    The window, `window` pixels long, lies centred on the image. Output pixel o weighs input pixel
    i by the filter around o's centre times the part of i that lies in the window, or in the image
    if what is ``beyond`` the window counts, scaled so that each row sums to `_UNIT`. (Without
    ``beyond``, pixels outside the image count here as well.)

    All lengths are counted in units of 1 / (2 * size * q) pixel, where q is the denominator of the
    window, which makes every quantity an integer.
    """
    p, q = window.numerator, window.denominator
    pixel = size * q  # half of one
    scale = 2 * max(p, pixel)  # the radius of the triangle
    support = scale if filter_ == "bilinear" else 2 * scale
    taps = support // pixel + 3
    heaviest = scale if filter_ == "bilinear" else 48 * scale**3  # or what it is computed from
    whole = _fitting(_HALF * taps * 2 * q * heaviest)
    centre = (length * q - p) * size + (2 * np.arange(size, dtype=np.int64) + 1) * p
    first = (centre - support - pixel) // (2 * pixel)
    index = first[:, None] + np.arange(taps)
    distance = np.abs((2 * index + 1) * pixel - centre[:, None]).astype(whole)
    # Twice the length of [i, i + 1] that counts, in units of 1 / q: 0 to 2 q.
    low, high = (0, 2 * length * q) if beyond else (length * q - p, length * q + p)
    overlap = np.minimum((2 * index + 2) * q, high) - np.maximum(2 * index * q, low)
    prefix = np.cumsum(_filter(distance, scale, filter_) * np.clip(overlap, 0, 2 * q), axis=1)

    # Scale the prefix sums, not the weights, and the rows sum to _UNIT by themselves. Rounding
    # down plus rounding up is odd under s -> total - s, so a row that is read from its other end
    # gets the same integers: that is what makes the whole map commute with mirror images.
    numerator, total = _HALF * prefix, prefix[:, -1:]
    scaled = numerator // total - (-numerator // total)
    return first, np.diff(scaled, axis=1, prepend=0).astype(np.int64)


def _filter(distance: Integers, scale: int, filter_: FitFilter) -> Integers:
    """Weigh distances; ``scale`` is that of one output pixel, and of an input pixel if longer."""
    if filter_ == "bilinear":
        return np.asarray(np.maximum(scale - distance, 0))
    near = 3 * distance**3 - 5 * scale * distance**2 + 2 * scale**3
    far = -(distance**3) + 5 * scale * distance**2 - 8 * scale**2 * distance + 4 * scale**3
    return np.where(distance < scale, near, np.where(distance < 2 * scale, far, 0))


def _fitting(largest: int) -> type:
    """Return int64 if numbers of this size fit in it, else Python's own integers."""
    return np.int64 if largest < 2**63 else object
