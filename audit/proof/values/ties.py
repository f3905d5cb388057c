"""Which stored numbers a propagation took to be equal: entries of one constant, in pairs."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from audit.proof.values.numbering import Numbers

Places = NDArray[np.int64]


@dataclass
class Ties:
    """Pairs of entries, by the input of a node that holds them.

    Attributes
    ----------
    pairs
        By the input's place: int64 ``[2, P]``, flat indices into the constant.
    """

    pairs: dict[int, list[Places]] = field(default_factory=dict)

    def add(self, place: int, first: Places, second: Places) -> None:
        """Note that entries of the constant in this place stand for the same number."""
        self.pairs.setdefault(place, []).append(np.stack([first.reshape(-1), second.reshape(-1)]))

    def add_entries(self, place: int, shape: tuple[int, ...], numbers: Numbers) -> None:
        """Tie a constant of this shape wherever a rotated output has the number of another."""
        size = int(np.prod(shape))
        if size > 1:
            entries = np.arange(size).reshape(shape)
            entries = np.broadcast_to(entries, numbers.shape[1:]).reshape(-1)
            rotated, here = _equal(numbers[1].reshape(-1), numbers[0].reshape(-1))
            self.add(place, entries[rotated], entries[here])


@dataclass(frozen=True)
class FilterPlaces:
    """Where the numbers of a filter bank are stored: flat indices, laid out as `matching.Bank` is.

    Attributes
    ----------
    taps, rotated : int64 [G, F, C, T]
        Of the filters, and of the rotated filters.
    channels : int64 [2, G, C]
        Which function of the image each channel is, for the image and for the rotated image.
    """

    taps: Places
    rotated: Places
    channels: Numbers

    def pairs(self, numbers: Numbers) -> tuple[Places, Places, tuple[Places, Places]]:
        """Return tied taps and filters, if filters and rotated ones have these numbers."""
        there, here = _equal(numbers[1], numbers[0])
        groups, filters, channels, taps = self.taps.shape
        order = np.argsort(self.channels, axis=2, kind="stable")
        rows = self.rotated.reshape(groups * filters, channels, taps)[there]
        rotated = np.take_along_axis(rows, order[1][there // filters][:, :, None], axis=1)
        rows = self.taps.reshape(groups * filters, channels, taps)[here]
        kept = np.take_along_axis(rows, order[0][here // filters][:, :, None], axis=1)
        return rotated, kept, (there, here)


def _equal(asked: Numbers, there: Numbers) -> tuple[Places, Places]:
    """Return places with equal numbers; of several with one number, each is paired once."""
    a, b = np.argsort(asked, kind="stable"), np.argsort(there, kind="stable")
    ranks = np.arange(len(asked)) - np.searchsorted(asked[a], asked[a])
    found = np.searchsorted(there[b], asked[a]) + ranks
    inside = found < len(b)
    found = np.where(inside, found, 0)
    equal = inside & (there[b][found] == asked[a]) if len(b) else np.zeros(len(a), bool)
    return a[equal], b[found[equal]]
