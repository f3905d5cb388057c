"""Nodes that do the same to the same: what the branches of a graph share.

A branch that reads a turned copy of the image does for the upright image what another branch does
for the turned one. Two nodes of one function that read equal numbers and equal constants for one
image give equal outputs for it, whatever their operator: nothing has to be known of it but that it
is a function.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from audit.proof.graph import Array
from audit.proof.numbering import Numbers
from audit.proof.site import Site, Tracked


@dataclass(frozen=True)
class _Half:
    """What a node read for one of the two images, and the numbers of what it gave."""

    inputs: tuple[Array | None, ...]
    outputs: tuple[Numbers, ...]


class Twins:
    """Remembers what nodes gave, for the image and for the turned image alike."""

    def __init__(self) -> None:
        self._halves: dict[Hashable, list[_Half]] = {}

    def find(self, site: Site) -> list[tuple[Numbers, ...] | None]:
        """Return for each of the two images what a twin of the node gave, None if there is none."""
        return [self._find(site, half) for half in (0, 1)]

    def remember(self, site: Site, outputs: Sequence[Numbers]) -> None:
        """Keep what a node gave, unless parameters tied only nearly, there or before.

        Then what it gave for the turned image is near the values that its numbers stand for, and a
        twin that took it for those values would not know how near.
        """
        if site.mismatch is None and not any(value.bound.deviation for value in site.tracked):
            for half in (0, 1):
                kept = _Half(_read(site, half), tuple(numbers[half] for numbers in outputs))
                self._halves.setdefault(_key(site, half), []).append(kept)

    def _find(self, site: Site, half: int) -> tuple[Numbers, ...] | None:
        inputs = _read(site, half)
        for known in self._halves.get(_key(site, half), ()):
            if all(map(_same, known.inputs, inputs)):
                return known.outputs
        return None


def adopt(known: Sequence[tuple[Numbers, ...] | None], outputs: Sequence[Numbers]) -> list[Numbers]:
    """Give the outputs of a node the numbers that a twin's have for one of the images."""
    adopted = []
    for place, numbers in enumerate(outputs):
        halves = [numbers[0], numbers[1]]
        for half, twin in enumerate(known):
            if twin is not None:
                halves[1 - half] = _renamed(numbers[half], twin[place], numbers[1 - half])
                halves[half] = twin[place]
        adopted.append(np.stack(halves))
    return adopted


def _renamed(names: Numbers, others: Numbers, numbers: Numbers) -> Numbers:
    """Replace in ``numbers`` each of ``names`` by the one in its place in ``others``."""
    if not names.size:
        return numbers
    low, high = int(names.min()), int(names.max())
    if high - low <= 4 * names.size:
        table = np.arange(low, high + 1)
        table[names - low] = others
        inside = (numbers >= low) & (numbers <= high)
        return np.where(inside, table[np.where(inside, numbers - low, 0)], numbers)
    distinct, first = np.unique(names, return_index=True)
    place = np.searchsorted(distinct, numbers).clip(max=len(distinct) - 1)
    return np.where(distinct[place] == numbers, others.reshape(-1)[first][place], numbers)


def _read(site: Site, half: int) -> tuple[Array | None, ...]:
    return tuple(
        value.numbers[half] if isinstance(value, Tracked) else value for value in site.inputs
    )


def _key(site: Site, half: int) -> Hashable:
    """Whatever is quickly compared of a node and its inputs."""
    parts: list[Hashable] = []
    for value in site.inputs:
        if isinstance(value, Tracked):
            numbers, rank = value.numbers[half], len(value.shape)
            ends = [int(numbers[(end,) * rank]) for end in (0, -1)] if numbers.size else []
            parts.append(("image", str(value.dtype), value.shape, *ends))
        else:
            parts.append(None if value is None else (value.dtype.str, value.shape))
    return site.node.function, tuple(map(bool, site.node.outputs)), tuple(parts)


def _same(a: Array | None, b: Array | None) -> bool:
    """Whether two arrays of one type and shape are equal in every bit."""
    if a is b:
        return True
    if a is None or b is None or a.dtype.hasobject:
        return False
    if a.dtype.kind in "iu":
        return np.array_equal(a, b)
    return np.ascontiguousarray(a).tobytes() == np.ascontiguousarray(b).tobytes()
