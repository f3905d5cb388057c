"""Operators that make one entry of many, in whatever order: reductions and pooling.

What is made of a block of entries is named by the block's numbers, as a multiset, or as a set if a
maximum is taken. Whether a turn maps blocks onto blocks, and so whether strides and padding suit
the size, shows in these names: no rule about geometry has to be trusted.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from audit.proof.graph import Stop
from audit.proof.numbering import Numbers
from audit.proof.rules.movement import Rule
from audit.proof.site import Site
from audit.proof.windows import Window, read_windows

_IDEMPOTENT = frozenset({"GlobalMaxPool", "MaxPool", "ReduceMax", "ReduceMin"})


def reduce(site: Site) -> list[Numbers]:
    """Reduce along axes."""
    numbers = site.image().numbers
    axes = site.integers("axes", 1)
    if not axes:
        if site.node["noop_with_empty_axes"]:
            raise Stop("reduces no axis at all, which is not followed")
        raise Stop("reduces over all images of a batch")
    return [block(site, numbers, axes, keep=bool(site.node.get("keepdims", 1)))]


def reduce_grid(site: Site) -> list[Numbers]:
    """Reduce over all pixels of a channel."""
    numbers = site.image().numbers
    return [block(site, numbers, range(2, numbers.ndim), keep=True)]


def block(site: Site, numbers: Numbers, axes: Sequence[int], *, keep: bool) -> Numbers:
    """Number a symmetric function of the entries along ``axes``."""
    places = sorted({site.axis(axis, numbers.ndim) for axis in axes})
    others = [axis for axis in range(numbers.ndim) if axis not in places]
    rows = numbers.transpose(others + places)
    rows = rows.reshape(*rows.shape[: len(others)], -1)
    reduced = _number(site, rows)
    return np.expand_dims(reduced, tuple(places)) if keep else reduced


def pool(site: Site) -> list[Numbers]:
    """Reduce windows of pixels, with any number of axes."""
    if any(site.node.outputs[1:]):
        raise Stop("gives the places of the maxima, which are not followed")
    numbers = site.image().numbers
    windows = read_windows(site.node, numbers.shape[2:], site.node["kernel_shape"])
    if any((window.places() == window.size).all(axis=1).any() for window in windows):
        raise Stop("has a window in which there is nothing but padding")
    return [_number(site, slide(numbers, windows))]


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


def _number(site: Site, rows: Numbers) -> Numbers:
    if site.node.op in _IDEMPOTENT:
        return site.numbering.sets(rows)
    return site.numbering.multisets(rows)


_REDUCTIONS = "L1 L2 LogSum LogSumExp Max Mean Min Prod Sum SumSquare"

REDUCTIONS: Final[Mapping[str, Rule]] = {
    **{f"Reduce{name}": reduce for name in _REDUCTIONS.split()},
    "AveragePool": pool,
    "GlobalAveragePool": reduce_grid,
    "GlobalLpPool": reduce_grid,
    "GlobalMaxPool": reduce_grid,
    "LpPool": pool,
    "MaxPool": pool,
}
