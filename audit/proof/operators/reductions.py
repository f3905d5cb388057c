"""Operators that make one entry of many, in whatever order: reductions and pooling.

What is made of a block of entries is named by the block's numbers, as a multiset, or as a set if a
maximum is taken. Whether a rotation maps blocks onto blocks, and so whether strides and padding
suit the size, shows in these names. Where windows are too many and too large for that, a plane
whose windows are mapped onto windows gives a plane that rotates as it does.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from audit.proof.file.node import Unsupported
from audit.proof.file.types import extremes
from audit.proof.operators.ranges import UNKNOWN, first
from audit.proof.operators.record import Bounding, Exact, Operator, Response, unknown
from audit.proof.values.channels import read_channels, rotated_planes
from audit.proof.values.context import Bound, Context
from audit.proof.values.numbering import Numbers, is_unmoved
from audit.proof.values.windows import Window, are_symmetric, read_windows
from imaging import GridSymmetry

_IDEMPOTENT: Final = frozenset({"GlobalMaxPool", "MaxPool", "ReduceMax", "ReduceMin"})
_MANY_ENTRIES: Final = 2**20
_MOST_ENTRIES: Final = 2**23
"""In windows, for the image and the rotated one together: beyond the first number planes are tried
before windows, beyond the second nothing but planes."""


def reduce(context: Context) -> list[Numbers]:
    """Reduce along axes."""
    x, axes = context.tracked[0], context.integers("axes", 1)
    if not axes:
        if context.node["noop_with_empty_axes"]:
            raise Unsupported("reduces no axis at all, which is not followed")
        raise Unsupported("reduces over all images of a batch")
    places = sorted(context.axes(axes))
    keep = bool(context.node.get("keepdims", 1))
    if not keep:
        context.batch_axis -= sum(axis % x.rank < x.batch_axis for axis in axes)
    return [block(context, x.numbers, places, keep=keep)]


def reduce_grid(context: Context) -> list[Numbers]:
    """Reduce over all pixels of a channel."""
    numbers = context.image().numbers
    return [block(context, numbers, range(2, numbers.ndim), keep=True)]


def block(context: Context, numbers: Numbers, places: Sequence[int], *, keep: bool) -> Numbers:
    """Number a symmetric function of the entries along axes of the numbers."""
    if any(numbers.shape[place] == 0 for place in places):
        raise Unsupported("reduces nothing")
    others = [axis for axis in range(numbers.ndim) if axis not in places]
    rows = numbers.transpose([*others, *places])
    context.reserve(numbers[0].size)
    rows = rows.reshape(*rows.shape[: len(others)], -1)
    reduced = _number(context, rows)
    return np.expand_dims(reduced, tuple(places)) if keep else reduced


def pool(context: Context) -> list[Numbers]:
    """Reduce windows of pixels, with any number of axes."""
    if any(context.node.outputs[1:]):
        raise Unsupported("gives the places of the maxima, which are not followed")
    numbers = context.image().numbers
    windows = read_windows(context.node, numbers.shape[2:], context.node["kernel_shape"])
    if any(window.has_empty for window in windows):
        raise Unsupported("has a window in which there is nothing but padding")
    channels, sides = numbers.shape[1], [window.count for window in windows]
    entries = 2 * channels * math.prod(sides) * math.prod(window.kernel for window in windows)
    if entries > _MANY_ENTRIES:
        found = _of_planes(context, numbers, windows, sides)
        apart = numbers[0].max() < numbers[1].min() or numbers[1].max() < numbers[0].min()
        if found is not None or apart or entries > _MOST_ENTRIES:
            note = "slides windows that are not mapped onto windows: see its stride and padding"
            return [context.opaque((channels, *sides), note) if found is None else found]
    context.reserve(entries)
    return [_number(context, slide(numbers, windows))]


def _of_planes(
    context: Context, numbers: Numbers, windows: Sequence[Window], sides: Sequence[int]
) -> Numbers | None:
    """Number planes as functions of planes, which rotate as these do; None if they do not."""
    channels = numbers.shape[1]
    symmetry, ids = GridSymmetry(False, 0), np.tile(np.arange(channels), (2, 1))
    if not is_unmoved(numbers):
        seen = read_channels(numbers, context.generator) if len(windows) == 2 else None
        if seen is None or not are_symmetric(windows, seen[0]):
            return None
        symmetry, ids = seen
    return rotated_planes(context, ids, sides, symmetry)


def slide(numbers: Numbers, windows: Sequence[Window]) -> Numbers:
    """Return the numbers in every window: ``[2, C, *S] -> [2, C, *windows, K]``."""
    for place, window in enumerate(windows):
        axis = 2 + 2 * place
        outside = [(0, 0)] * numbers.ndim
        outside[axis] = (0, 1)
        numbers = np.pad(numbers, outside, constant_values=-1)
        numbers = np.take(numbers, window.places(), axis)
    rank = len(windows)
    order = [0, 1, *(2 + 2 * place for place in range(rank))]
    order += [3 + 2 * place for place in range(rank)]
    numbers = numbers.transpose(order)
    return numbers.reshape(*numbers.shape[: 2 + rank], -1)


def _number(context: Context, rows: Numbers) -> Numbers:
    if context.node.op in _IDEMPOTENT:
        return context.numbering.sets(rows)
    return context.numbering.multisets(rows)


def reduced_count(context: Context) -> int:
    """Return how many entries a reduction or pooling adds up at most."""
    x = context.tracked[0]
    if context.node["kernel_shape"]:
        return math.prod(context.node["kernel_shape"])
    if context.node.op.startswith("Global"):
        return math.prod(x.numbers.shape[2:])
    axes = context.integers("axes", 1) or []
    return math.prod(x.numbers.shape[context.axis(axis)] for axis in axes)


def _partial_sums(context: Context) -> float:
    inner = context.tracked[0].bound
    return inner.magnitude * reduced_count(context) if inner.whole else math.inf


def _mean(context: Context) -> Bound:
    x = context.tracked[0]
    inner = x.bound
    if x.dtype is None or inner.magnitude * reduced_count(context) > extremes(x.dtype)[1]:
        return UNKNOWN  # the sum may be infinite where the mean is not
    low, high = inner.low, inner.high
    if context.node.op == "AveragePool":  # which may count padding, as zeros
        low, high = min(low, 0.0), max(high, 0.0)
    return Bound(low, high, False, inner.deviation, signed_zero=inner.signed_zero)


def _sum(context: Context) -> Bound:
    inner, count = context.tracked[0].bound, reduced_count(context)
    return Bound(
        inner.low * count,
        inner.high * count,
        inner.whole,
        inner.deviation * count,
        signed_zero=inner.signed_zero,
    )


def _magnitudes(context: Context) -> Bound:
    inner, count = context.tracked[0].bound, reduced_count(context)
    high = inner.magnitude * count
    return Bound(0.0, high, inner.whole, inner.deviation * count, signed_zero=False)


def _reduction(
    name: str,
    versions: tuple[int, ...],
    bound: Bounding = unknown,
    *,
    integers: Exact = "never",
    floats: Exact = "never",
    response: Response = "smooth",
) -> Operator:
    return Operator(
        f"Reduce{name}",
        versions,
        reduce,
        bound=bound,
        integers=integers,
        floats=floats,
        response=response,
        partial_sums=_partial_sums,
        folding="confirmed",
        any_axis=True,
        blind_to_zeros=True,
    )


_OLD: Final = (1, 11, 13, 18)
_EXTREMA: Final = (1, 11, 12, 13, 18, 20)

OPERATORS: Final = (
    _reduction("L1", _OLD, _magnitudes, integers="always"),
    _reduction("L2", _OLD),
    _reduction("LogSum", _OLD, response="steep"),
    _reduction("LogSumExp", _OLD),
    _reduction("Max", _EXTREMA, first, integers="always", floats="ordered"),
    _reduction("Mean", _OLD, _mean, floats="whole"),
    _reduction("Min", _EXTREMA, first, integers="always", floats="ordered"),
    _reduction("Prod", _OLD, integers="always", response="steep"),
    _reduction("Sum", (1, 11, 13), _sum, integers="always", floats="whole"),
    _reduction("SumSquare", _OLD, integers="always", response="steep"),
    Operator(
        "AveragePool",
        (7, 10, 11, 19, 22),
        pool,
        bound=_mean,
        floats="whole",
        response="smooth",
        partial_sums=_partial_sums,
        blind_to_zeros=True,
        image_by_image=True,
    ),
    Operator(
        "GlobalAveragePool",
        (1, 22),
        reduce_grid,
        bound=_mean,
        floats="whole",
        response="smooth",
        partial_sums=_partial_sums,
        blind_to_zeros=True,
    ),
    Operator("GlobalLpPool", (2, 22), reduce_grid, response="smooth", blind_to_zeros=True),
    Operator(
        "GlobalMaxPool",
        (1, 22),
        reduce_grid,
        bound=first,
        floats="ordered",
        response="smooth",
        blind_to_zeros=True,
    ),
    Operator(
        "LpPool",
        (2, 11, 18, 22),
        pool,
        response="smooth",
        blind_to_zeros=True,
        image_by_image=True,
    ),
    Operator(
        "MaxPool",
        (8, 10, 11, 12, 22),
        pool,
        bound=first,
        integers="always",
        floats="ordered",
        response="smooth",
        blind_to_zeros=True,
        image_by_image=True,
    ),
)
