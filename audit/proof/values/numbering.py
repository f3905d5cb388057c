"""Value numbers: names for the entries of tensors, such that equal numbers mean equal values.

A tensor is followed as int64 ``[2, *S]``: the numbers of its entries for an image, and those for
the rotated image, as if both were one batch. A number stands for one function of the upright image.
It may happen that equal values get different numbers; that costs a proof, never its soundness.
"""

from collections.abc import Hashable

import numpy as np
from numpy.typing import NDArray

from audit.proof.file.types import name_of

Numbers = NDArray[np.int64]

PADDING = -1
"""Stands in a window for what lies outside of the tensor."""

_SORTED_FAST = {"V1": "u1", "V2": "u2", "V4": "u4", "V8": "u8"}
"""Integers of as many bytes, which NumPy sorts many times as fast as bytes of no type."""

_CONSTANTS = 2**32
_LARGEST_BLOCK = 2**48
_LONG = 32
_LAST = np.iinfo(np.int64).max


def number_rows(rows: NDArray[np.int64]) -> Numbers:
    """Return an index for every row of ``[R, K]``, the same for equal rows and for no others.

    Short rows are sorted by a hash and then compared, so that a collision cannot equate two.
    """
    if rows.shape[1] == 0:
        return np.zeros(len(rows), np.int64)
    if rows.shape[1] > _LONG:
        seen: dict[bytes, int] = {}
        return np.array([seen.setdefault(row.tobytes(), len(seen)) for row in rows], np.int64)
    keys = rows[:, 0] if rows.shape[1] == 1 else _hash(rows)
    _, first, ids = np.unique(keys, return_index=True, return_inverse=True)
    if rows.shape[1] > 1 and not np.array_equal(rows, rows[first[ids]]):
        _, ids = np.unique(rows, axis=0, return_inverse=True)
    return ids.reshape(-1).astype(np.int64)


def _hash(rows: NDArray[np.int64]) -> NDArray[np.uint64]:
    """Mix every value (the first half of SplitMix64) and add up with a factor for each column."""
    factors = np.random.default_rng(0).integers(2**63, size=(rows.shape[1],), dtype=np.uint64)
    hashes = np.zeros(len(rows), np.uint64)
    for place, factor in enumerate(factors):
        column = rows[:, place].astype(np.uint64)
        column ^= column >> np.uint64(30)
        column *= np.uint64(0xBF58476D1CE4E5B9)
        column ^= column >> np.uint64(27)
        hashes += column * (2 * factor + np.uint64(1))
    return hashes


def _places(names: Numbers, numbers: Numbers) -> Numbers | None:
    """Return where each number stands among ``names``, -1 if it does not; None if that is slow."""
    low, high = int(names.min()), int(names.max())
    if high - low > 4 * names.size:
        return None
    table = np.full(high - low + 2, -1)
    table[names.reshape(-1) - low] = np.arange(names.size)
    inside = (numbers >= low) & (numbers <= high)
    return table[np.where(inside, numbers - low, high - low + 1)]


def is_unmoved(numbers: Numbers) -> bool:
    """Whether the rotated image gives every entry the value that the upright one gives it."""
    return bool(np.array_equal(numbers[0], numbers[1]))


def is_closed(numbers: Numbers) -> bool:
    """Whether the rotated image gives no values but those that the upright one gives."""
    return bool(np.isin(numbers[1], numbers[0]).all())


class Numbering:
    """Hands out numbers during one proof.

    Numbers come in blocks. A function of one variable moves a whole block to a block of the same
    layout, which it finds again when it meets the same numbers elsewhere in the graph.

    Attributes
    ----------
    node
        Index of the node whose outputs are being numbered.
    shared
        Pairs of nodes that do the same to the same numbers.
    """

    def __init__(self) -> None:
        self.node = -1
        self.shared: set[tuple[int, int]] = set()
        self._starts = np.zeros(64, np.int64)
        self._blocks = 1
        self._next = _CONSTANTS
        self._constants: dict[tuple[str, bytes], int] = {}
        self._images: dict[Hashable, tuple[int, int]] = {}

    def fresh(self, count: int) -> int:
        """Reserve a block of ``count`` numbers and return the first."""
        start, self._next = self._next, self._next + count
        if self._blocks == len(self._starts):
            self._starts = np.concatenate([self._starts, np.zeros_like(self._starts)])
        self._starts[self._blocks] = start
        self._blocks += 1
        return start

    def constants(self, array: NDArray[np.generic]) -> Numbers:
        """Number constants by type and bits."""
        if array.size == 1:
            key = name_of(array.dtype), array.tobytes()
            number = self._constants.setdefault(key, len(self._constants))
            return np.full(array.shape, number)
        array, kind = np.ascontiguousarray(array), name_of(array.dtype)
        bits = f"V{array.dtype.itemsize}"
        raw = array.reshape(-1).view(_SORTED_FAST.get(bits, bits))
        distinct, ids = np.unique(raw, return_inverse=True)
        numbers = [
            self._constants.setdefault((kind, value), len(self._constants))
            for value in distinct.view(bits).tolist()
        ]
        return np.asarray(numbers, np.int64)[ids].reshape(array.shape)

    def rows(self, rows: Numbers) -> Numbers:
        """Number what one node computes from each row of ``[..., K]``, in this order."""
        ids = number_rows(rows.reshape(-1, rows.shape[-1]))
        return self.fresh(len(ids)) + ids.reshape(rows.shape[:-1])

    def pairs(self, a: Numbers, b: Numbers) -> Numbers | None:
        """Number what one node computes from pairs of entries, the quick way.

        It works if the rotation pairs the same numbers as the upright image does, as it should;
        None if it does not.
        """
        if not a.size:
            return self.rows(np.stack([a, b], axis=-1))
        here_b = b[0].reshape(-1)
        places = _places(a[0], a)
        if places is None:
            return None
        if (places[1] < 0).all():
            return self._pairs_apart(places[0], a, b)
        if (places < 0).any() or not np.array_equal(here_b[places], b):
            return None
        return self.fresh(here_b.size) + places

    def _pairs_apart(self, here: Numbers, a: Numbers, b: Numbers) -> Numbers | None:
        """Number pairs where the rotated image has no entry that the upright one has."""
        rotated = _places(a[1], a[1])
        if rotated is None:
            return None
        places = np.stack([here, rotated])
        seconds = (b[half].reshape(-1)[places[half]] for half in (0, 1))
        if not all(np.array_equal(second, b[half]) for half, second in enumerate(seconds)):
            return None
        places[1] += rotated.size
        return self.fresh(2 * rotated.size) + places

    def multisets(self, rows: Numbers) -> Numbers:
        """Number what one node computes from each row of ``[..., K]``, in whatever order."""
        return self.rows(np.sort(rows, axis=-1))

    def sets(self, rows: Numbers) -> Numbers:
        """As `multisets`, for a function to which repetitions and padding do not matter."""
        rows = np.sort(rows, axis=-1)
        repeated = rows == PADDING
        repeated[..., 1:] |= rows[..., 1:] == rows[..., :-1]
        if repeated.any():
            rows = np.sort(np.where(repeated, _LAST, rows), axis=-1)
        return self.rows(rows)

    def apply(
        self, function: Hashable, numbers: Numbers, parameters: Numbers | None = None
    ) -> Numbers:
        """Number the values of ``function`` entry by entry.

        Parameters
        ----------
        function
            Names the function; all calls with this name are the same function.
        numbers
            Of its argument.
        parameters
            Numbers of a second argument that no rotation of the image changes, broadcast to the
            first.
        """
        count = 1
        if parameters is not None and parameters.size == 1:
            function, parameters = (function, parameters.tobytes()), None
        if parameters is not None:
            distinct, parameters = np.unique(parameters, return_inverse=True)
            count, function = len(distinct), (function, distinct.tobytes())
        if not numbers.size:
            return numbers
        low, high = int(numbers.min()), int(numbers.max())
        first, last = self._block(low), self._block(high)
        blocks, present = np.zeros((), np.int64), [first]
        if first != last:
            starts = self._starts[: self._blocks]
            blocks = np.searchsorted(starts, numbers, side="right") - 1
            present = np.flatnonzero(np.bincount(blocks.reshape(-1))).tolist()
            blocks = np.searchsorted(present, blocks)
        sizes = np.array([self._size(block) for block in present])
        if int(sizes.max()) * count > _LARGEST_BLOCK:
            return self.apply(function, self._compact(numbers), parameters)
        images = np.array([self._image(function, block, count) for block in present])
        starts = np.array([self._starts[block] for block in present])
        moved: Numbers = numbers + (images - starts)[blocks]
        return moved if parameters is None else moved + parameters * sizes[blocks]

    def _image(self, function: Hashable, block: int, count: int) -> int:
        key = (function, block)
        if key not in self._images:
            self._images[key] = self.fresh(self._size(block) * count), self.node
        start, node = self._images[key]
        if node != self.node:
            self.shared.add((node, self.node))
        return start

    def _block(self, number: int) -> int:
        return int(np.searchsorted(self._starts[: self._blocks], number, side="right")) - 1

    def _size(self, block: int) -> int:
        end = self._starts[block + 1] if block + 1 < self._blocks else self._next
        return int(end - self._starts[block])

    def _compact(self, numbers: Numbers) -> Numbers:
        distinct, ids = np.unique(numbers, return_inverse=True)
        return self.fresh(len(distinct)) + ids.reshape(numbers.shape)
