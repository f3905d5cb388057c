"""Nodes that do the same to the same: what the branches of a graph share.

A branch that reads a rotated copy of the image does for the upright image what another branch does
for the rotated one. Two nodes of one function that read equal numbers and equal constants for one
image give equal outputs for it, whatever their operator: nothing has to be known of it but that it
is a function.
"""

import hashlib
from collections import Counter
from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from audit.proof.file.graph import Graph
from audit.proof.file.node import Array, Node
from audit.proof.limits import Budget
from audit.proof.values.context import Context, Tracked
from audit.proof.values.numbering import Numbers
from imaging import GridSymmetry

_WORTH_PACKING: Final = 4096
_SYMMETRIES: Final = [GridSymmetry(m, k) for m in (False, True) for k in range(4)]


@dataclass(frozen=True)
class _Planes:
    """Numbers in rows, as most are: a start for each plane, and how the planes are rotated."""

    starts: Numbers
    shape: tuple[int, ...]
    symmetry: GridSymmetry

    def unpack(self) -> Numbers:
        height, width = self.shape[1:]
        if self.symmetry.quarter_turns % 2:
            height, width = width, height
        rows = self.starts[:, None, None] + np.arange(height * width).reshape(height, width)
        return np.ascontiguousarray(self.symmetry(rows))


_Packed = Numbers | _Planes


@dataclass(frozen=True)
class Half:
    """What a node gave for one of the two images.

    Attributes
    ----------
    outputs
        Numbers of each output.
    batch_axis
        Where the batch stands in them.
    reordered
        Whether sums of several nodes were numbered as one.
    unread
        Whether the node's rule could not follow it.
    """

    outputs: tuple[Numbers, ...]
    batch_axis: int
    reordered: bool
    unread: bool


@dataclass(frozen=True)
class _Kept:
    node: int
    outputs: tuple[_Packed, ...]
    batch_axis: int
    reordered: bool
    unread: bool

    def unpack(self) -> Half:
        outputs = tuple(map(_unpack, self.outputs))
        return Half(outputs, self.batch_axis, self.reordered, self.unread)

    @property
    def size(self) -> int:
        return sum(map(_size, self.outputs))


class Congruence:
    """Remembers what nodes gave, for the image and for the rotated image alike.

    What was read is remembered by a digest of 256 bits, and what was given in short where it is in
    rows, so that it costs little to remember a whole branch.

    Parameters
    ----------
    bitwise
        Whether nodes are to give equal bits, as they need not for batches of different sizes.

    Attributes
    ----------
    shared
        Pairs of nodes of which one was given what the other gave.
    """

    def __init__(self, graph: Graph, budget: Budget, *, bitwise: bool) -> None:
        self.shared: set[tuple[int, int]] = set()
        self._budget, self._bitwise = budget, bitwise
        self._kinds = [graph.kind(node) for node in graph.nodes]
        self._left = Counter(self._kinds)
        self._known: dict[Hashable, dict[Hashable, _Kept]] = {}
        self._digests: dict[int, tuple[Array, bytes]] = {}

    def find(self, context: Context) -> list[Half | None]:
        """Return for each of the two images what the node's like gave, None if there is none."""
        known = self._known.get(self._kinds[context.node.index])
        if not known:
            return [None, None]
        found = [known.get(self._key(context, half)) for half in (0, 1)]
        nodes = {kept.node for kept in found if kept is not None} - {context.node.index}
        self.shared.update((node, context.node.index) for node in nodes)
        return [None if kept is None else kept.unpack() for kept in found]

    def remember(self, context: Context, outputs: Sequence[Numbers]) -> None:
        """Keep what a node gave, unless parameters tied only nearly, there or before.

        Then what it gave for the rotated image is near the values that its numbers stand for, and
        another node that took it for those values would not know how near.
        """
        if context.mismatch is not None or any(v.bound.deviation for v in context.tracked):
            return
        kind = self._kinds[context.node.index]
        if self._left[kind] < 2 and context.copies < 2:
            return
        known = self._known.setdefault(kind, {})
        for half in (0, 1):
            key = self._key(context, half)
            if key not in known:
                packed = tuple(_kept(_pack(numbers[half])) for numbers in outputs)
                kept = known[key] = _Kept(
                    context.node.index,
                    packed,
                    context.batch_axis,
                    context.reordered,
                    context.unread,
                )
                self._budget.held += kept.size

    def leave(self, node: Node) -> None:
        """Forget what no further node can need."""
        kind = self._kinds[node.index]
        self._left[kind] -= 1
        if not self._left[kind]:
            self._budget.held -= sum(kept.size for kept in self._known.pop(kind, {}).values())

    def _key(self, context: Context, half: int) -> Hashable:
        name = ("key", half)
        if name not in context.cache:
            context.cache[name] = self._made_key(context, half)
        return context.cache[name]

    def _made_key(self, context: Context, half: int) -> Hashable:
        parts: list[Hashable] = []
        for value in context.inputs:
            if isinstance(value, Tracked):
                name = ("image", half, id(value))
                if name not in context.cache:
                    context.cache[name] = name_of(value.numbers[half])
                parts.append((value.dtype, value.shape, value.batch_axis, context.cache[name]))
            elif isinstance(value, np.ndarray):
                parts.append((value.dtype, value.shape, self._constant(value)))
            else:
                parts.append(None if value is None else ("sizes", str(value.sides.tolist())))
        copies = context.copies if self._bitwise else 1
        return context.node.function, tuple(map(bool, context.node.outputs)), copies, tuple(parts)

    def _constant(self, value: Array) -> bytes:
        known = self._digests.get(id(value))
        if known is None or known[0] is not value:
            known = self._digests[id(value)] = (value, _digest(value))
        return known[1]


def adopt(known: Sequence[Half | None], outputs: Sequence[Numbers]) -> list[Numbers]:
    """Give the outputs of a node the numbers that another's have for one of the images."""
    if all(half is None for half in known):
        return list(outputs)
    adopted = []
    for place, numbers in enumerate(outputs):
        halves = [numbers[0], numbers[1]]
        for half, other in enumerate(known):
            if other is not None:
                given = other.outputs[place]
                halves[1 - half] = _renamed(numbers[half], given, numbers[1 - half])
                halves[half] = given
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


def name_of(numbers: Numbers) -> Hashable:
    """Return what equal numbers have in common, and others have not."""
    packed = _pack(numbers)
    if isinstance(packed, _Planes):
        return packed.symmetry, packed.shape, _digest(packed.starts)
    return _digest(packed)


def _digest(array: Array) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(array).tobytes(), digest_size=32).digest()


def _pack(numbers: Numbers) -> _Packed:
    if numbers.ndim != 3 or numbers.size < _WORTH_PACKING:
        return numbers
    for symmetry in _SYMMETRIES:
        back = symmetry.inverse()(numbers)
        row = np.arange(back[0].size).reshape(back.shape[1:])
        if np.array_equal(back[0] - back[0, 0, 0], row):
            starts = back[:, 0, 0].copy()
            if np.array_equal(back, starts[:, None, None] + row):
                return _Planes(starts, numbers.shape, symmetry)
    return numbers


def _kept(packed: _Packed) -> _Packed:
    """Return what does not hold on to the other image's numbers."""
    return packed if isinstance(packed, _Planes) else packed.copy()


def _unpack(packed: _Packed) -> Numbers:
    return packed.unpack() if isinstance(packed, _Planes) else packed


def _size(packed: _Packed) -> int:
    return packed.starts.nbytes if isinstance(packed, _Planes) else packed.nbytes
