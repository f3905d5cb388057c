"""Finding turned filters in a filter bank, exactly or within a residual.

A filter is what it does to *functions of the image*: taps, and for each the value number of the
channel that it reads. Two channels that hold the same function share a number, and may change
places. Filters are brought into a canonical order by these numbers and then compared as rows of
bits, so that any choice that duplicates leave is settled without a search.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from audit.proof.numbering import Numbers, number_rows
from audit.proof.site import Mismatch

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Bank:
    """Filters in groups that read the same channels.

    Attributes
    ----------
    taps : float64 [G, F, C, T]
        Of the F filters of each group, T for each of the C channels that it reads.
    channels : int64 [G, C]
        Which function of the image each channel is.
    extras : float64 [G, F, E]
        Bias, scale and whatever else comes with a filter.
    """

    taps: Floats
    channels: Numbers
    extras: Floats

    def canonical(self) -> "Bank":
        """Order the channels by number, and the taps of channels of equal number by value."""
        channels = np.sort(self.channels, axis=1)
        if (channels[:, 1:] == channels[:, :-1]).any():
            numbers = np.broadcast_to(self.channels[:, None, :, None], self.taps.shape)
            order = np.lexsort((self.taps, numbers), axis=2)
        else:
            order = np.argsort(self.channels, axis=1)[:, None, :, None]
        return Bank(np.take_along_axis(self.taps, order, axis=2), channels, self.extras)

    def rows(self) -> Floats:
        """Lay every filter out as one row, taps before extras: ``[G F, C T + E]``."""
        count = self.taps.shape[0] * self.taps.shape[1]
        return np.concatenate([self.taps.reshape(count, -1), self.extras.reshape(count, -1)], 1)


@dataclass(frozen=True)
class Match:
    """Numbers of the filters and of the turned filters: int64 ``[2, G F]``.

    Attributes
    ----------
    mismatch
        The residual, if not all equal numbers mean equal filters.
    astray
        A turned filter that is not in the bank, and its relative distance from the nearest.
    """

    numbers: Numbers
    mismatch: Mismatch | None = None
    astray: tuple[int, float] | None = None


def match(here: Bank, turned: Bank, tolerance: float) -> Match:
    """Number the filters of a bank and the turned filters, the same number for the same filter.

    Parameters
    ----------
    tolerance
        A turned filter that is none of the bank takes the number of the nearest, if no parameter
        differs by more than this, relative to the largest one.
    """
    here, turned = here.canonical(), turned.canonical()
    sources = number_rows(np.concatenate([here.channels, turned.channels]))
    groups, filters = here.taps.shape[:2]
    sources = sources.reshape(2, groups).repeat(filters, axis=1)
    here_rows, turned_rows = here.rows(), turned.rows()
    both = np.concatenate([here_rows, turned_rows]) + 0.0  # makes -0.0 the zero that it equals
    bits = np.concatenate([sources.reshape(-1, 1), both.view(np.int64)], axis=1)
    numbers = number_rows(bits).reshape(2, -1)

    lost = np.flatnonzero(~np.isin(numbers[1], numbers[0]))
    if not lost.size:
        return Match(numbers)
    taps = here.taps[0, 0].size
    scales = np.ones(here_rows.shape[1])
    scales[:taps] = _largest(here_rows[:, :taps])
    scales[taps:] = _largest(here_rows[:, taps:])
    nearest, distances = np.full(len(lost), -1), np.full(len(lost), np.inf)
    for source in np.unique(sources[1, lost]):
        candidates = np.flatnonzero(sources[0] == source)
        if candidates.size:
            asked = np.flatnonzero(sources[1, lost] == source)
            found, distances[asked] = _nearest(
                here_rows[candidates] / scales, turned_rows[lost[asked]] / scales
            )
            nearest[asked] = candidates[found]
    close = (distances <= tolerance) & (tolerance > 0)
    astray = None
    if not close.all():
        worst = int(np.argmax(distances))
        astray = int(lost[worst]), float(distances[worst])
    numbers[1, lost[close]] = numbers[0, nearest[close]]
    differences = np.abs(here_rows[nearest[close]] - turned_rows[lost[close]])
    mismatch = Mismatch(
        relative=float(distances[close].max(initial=0)),
        factor=float(differences[:, :taps].sum(axis=1).max(initial=0)),
        offset=float(differences[:, taps:].sum(axis=1).max(initial=0)),
    )
    return Match(numbers, mismatch if close.any() else None, astray)


def _largest(values: Floats) -> float:
    return float(np.abs(values).max(initial=0)) or 1.0


def _nearest(rows: Floats, queries: Floats) -> tuple[NDArray[np.intp], Floats]:
    """Return the row that is nearest to each query, and the largest difference from it.

    Looked for in a projection to few dimensions, where rows that are near stay near; what is
    reported is the distance in all dimensions.
    """
    from scipy.spatial import KDTree  # a tenth of a second, and exact ties do without it

    directions = np.random.default_rng(0).standard_normal((rows.shape[1], 8))
    count = min(len(rows), 4)
    _, nearby = KDTree(rows @ directions).query(queries @ directions, k=[*range(1, count + 1)])
    found = np.asarray(nearby)
    distances = np.stack(list(_distances(rows, queries, found)), axis=1)
    best = distances.argmin(axis=1)
    chosen = np.arange(len(queries))
    return found[chosen, best], distances[chosen, best]


def _distances(rows: Floats, queries: Floats, found: NDArray[np.intp]) -> Iterator[Floats]:
    for candidate in found.T:
        yield np.abs(rows[candidate] - queries).max(axis=1)
