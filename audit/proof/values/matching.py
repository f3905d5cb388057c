"""Finding rotated filters in a filter bank, exactly or within a residual.

A filter is what it does to *functions of the image*: taps, and for each the value number of the
channel that it reads. Two channels that hold the same function share a number, and may change
places. Filters are brought into a canonical order by these numbers and then compared as rows of
bits, so that any choice that duplicates leave is settled without a search.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audit.proof.values.context import Mismatch
from audit.proof.values.numbering import Numbers, number_rows

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
        elif np.array_equal(channels, self.channels):
            return self
        else:
            order = np.argsort(self.channels, axis=1)[:, None, :, None]
        return Bank(np.take_along_axis(self.taps, order, axis=2), channels, self.extras)

    def rows(self) -> Floats:
        """Lay every filter out as one row, taps before extras: ``[G F, C T + E]``."""
        count = self.taps.shape[0] * self.taps.shape[1]
        return np.concatenate([self.taps.reshape(count, -1), self.extras.reshape(count, -1)], 1)


@dataclass(frozen=True)
class Match:
    """Numbers of the filters and of the rotated filters: int64 ``[2, G F]``.

    Attributes
    ----------
    mismatch
        The residual, if not all equal numbers mean equal filters.
    unmatched
        A rotated filter that is not in the bank, and its relative distance from the nearest, if
        that was asked for.
    """

    numbers: Numbers
    mismatch: Mismatch | None = None
    unmatched: tuple[int, float] | None = None


def match(here: Bank, rotated: Bank, tolerance: float, *, explaining: bool) -> Match:
    """Number the filters of a bank and the rotated filters, the same number for the same filter.

    Parameters
    ----------
    tolerance
        A rotated filter that is none of the bank takes the number of the nearest, if no parameter
        differs by more than this, relative to the largest one.
    explaining
        Whether to find out how far the nearest is.
    """
    here, rotated = here.canonical(), rotated.canonical()
    sources = number_rows(np.concatenate([here.channels, rotated.channels]))
    groups, filters = here.taps.shape[:2]
    sources = sources.reshape(2, groups).repeat(filters, axis=1)
    here_rows, rotated_rows = here.rows(), rotated.rows()
    taps = here.taps[0, 0].size
    both = np.concatenate([here_rows, rotated_rows])
    both[:, :taps] += 0.0  # makes -0.0 the zero that it equals: a sum tells neither from the other
    bits = both.view(np.int64)
    if sources.max(initial=0) > 0:
        bits = np.concatenate([sources.reshape(-1, 1), bits], axis=1)
    numbers = number_rows(bits).reshape(2, -1)
    del both, bits

    missing = np.flatnonzero(~np.isin(numbers[1], numbers[0]))
    if not missing.size or not (tolerance or explaining):
        return Match(numbers)
    scales = np.ones(here_rows.shape[1])
    scales[:taps] = _largest(here_rows[:, :taps])
    scales[taps:] = _largest(here_rows[:, taps:])
    here_rows, rotated_rows = here_rows / scales, rotated_rows / scales
    nearest, distances = np.zeros(len(missing), np.intp), np.full(len(missing), np.inf)
    for source in np.unique(sources[1, missing]):
        candidates = np.flatnonzero(sources[0] == source)
        if candidates.size:
            asked = np.flatnonzero(sources[1, missing] == source)
            rows, queries = here_rows[candidates], rotated_rows[missing[asked]]
            if tolerance:
                found, distances[asked] = _close(rows, queries, tolerance)
                nearest[asked] = candidates[found]
            apart = distances[asked] > tolerance
            if explaining and apart.any():
                _, distances[asked[apart]] = _nearest(rows, queries[apart])
    close = (distances <= tolerance) & (tolerance > 0)
    unmatched = None
    if explaining and not close.all():
        seen = np.where(close | ~np.isfinite(distances), -1.0, distances)
        worst = int(seen.argmax()) if (seen >= 0).any() else int((~close).argmax())
        unmatched = int(missing[worst]), float(distances[worst])
    numbers[1, missing[close]] = numbers[0, nearest[close]]
    differences = np.abs(here_rows[nearest[close]] - rotated_rows[missing[close]]) * scales
    mismatch = Mismatch(
        relative=float(distances[close].max(initial=0)),
        factor=float(differences[:, :taps].sum(axis=1).max(initial=0)),
        offset=float(differences[:, taps:].sum(axis=1).max(initial=0)),
    )
    return Match(numbers, mismatch if close.any() else None, unmatched)


def _largest(values: Floats) -> float:
    return float(np.abs(values).max(initial=0)) or 1.0


def _close(rows: Floats, queries: Floats, tolerance: float) -> tuple[NDArray[np.intp], Floats]:
    """Return for each query a row within the tolerance and its distance, infinity if none is.

    Two rows that are near have sums, with whatever signs, that are near: rows are sorted by one
    such sum, and of those in reach the one that is nearest by a few more is compared whole.
    """
    signs = np.random.default_rng(0).choice([-1.0, 1.0], size=(rows.shape[1], 8))
    there, asked = rows @ signs, queries @ signs
    order = np.argsort(there[:, 0])
    reach = 2 * tolerance * rows.shape[1] + 1e-9
    low = np.searchsorted(there[order, 0], asked[:, 0] - reach)
    high = np.searchsorted(there[order, 0], asked[:, 0] + reach)
    best, least = np.zeros(len(queries), np.intp), np.full(len(queries), np.inf)
    for step in range(min(int((high - low).max(initial=0)), _MOST_CANDIDATES)):
        inside = low + step < high
        found = order[np.where(inside, low + step, 0)]
        apart = np.where(inside, np.square(there[found] - asked).sum(axis=1), np.inf)
        best, least = np.where(apart < least, found, best), np.minimum(apart, least)
    distances = np.full(len(queries), np.inf)
    for part in _parts(len(queries), rows.shape[1]):
        distances[part] = np.abs(rows[best[part]] - queries[part]).max(axis=1)
    distances[~np.isfinite(least)] = np.inf
    return best, distances


def _nearest(rows: Floats, queries: Floats) -> tuple[NDArray[np.intp], Floats]:
    """Return the row that is nearest to each query, and the distance; of many queries the first."""
    best, distances = np.zeros(len(queries), np.intp), np.full(len(queries), np.inf)
    for place in range(min(len(queries), max(1, _MOST_COMPARED // max(rows.size, 1)))):
        nearest = np.full(len(rows), np.inf)
        for part in _parts(len(rows), rows.shape[1]):
            nearest[part] = np.abs(rows[part] - queries[place]).max(axis=1)
        best[place], distances[place] = nearest.argmin(), nearest.min()
    return best, distances


def _parts(count: int, width: int) -> Iterator[slice]:
    """Cut rows into parts of a few million numbers."""
    step = max(1, _PART // max(width, 1))
    return (slice(start, start + step) for start in range(0, count, step))


_MOST_CANDIDATES: Final = 64
_MOST_COMPARED: Final = 2**26
_PART: Final = 2**21
