"""Which images of two reports are the same, and what they count as together."""

from collections import defaultdict, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audit.comparison.record import Order
from audit.report import Answers, Report
from audit.units import Units
from imaging.refusal import RefusedError

_MOST_NUMBER: Final = 2**31
# Of float32, of which logits are, and of the distance of two of them.
_MOST_LOGIT: Final = 2.0**129
_MOST_RELATIVE: Final = 1e60


@dataclass(frozen=True, eq=False)
class Matched:
    """Images that both reports have.

    Attributes
    ----------
    baseline, candidate : int64 [N]
        Where each stands in either report, in the baseline's order.
    units
        What they count as.
    """

    baseline: NDArray[np.int64]
    candidate: NDArray[np.int64]
    units: Units
    order: Order


def match(baseline: Report, candidate: Report) -> Matched:
    """Match the images of two reports by their digests, and join their units.

    Raises
    ------
    RefusedError
        If a report does not hold what became of each image, other rotations were tried, or neither
        set of images is part of the other.
    """
    first, second = answers_of(baseline, "A"), answers_of(candidate, "B")
    tried = [sorted(each.element for each in r.figures.elements) for r in (baseline, candidate)]
    if tried[0] != tried[1]:
        raise RefusedError(
            f"A was rotated by {', '.join(tried[0])}, and B by {', '.join(tried[1])}; audits over "
            "the same rotations are accepted (--group)."
        )
    here, there, order = _by_digest(_keyed(baseline, first), _keyed(candidate, second))
    units = _joined(np.array(first.units)[here], np.array(second.units)[there])
    return Matched(here, there, units, order)


def answers_of(report: Report, side: str) -> Answers:
    """Return what became of each image of a report; RefusedError if it does not say, or is torn."""
    answers = report.figures.answers
    if answers is None:
        raise RefusedError(
            f"The report {side} was made before reports held what became of each image; a new "
            "audit of that model is accepted."
        )
    if _torn(report, answers) or _agreeing(answers) != report.figures.agreeing_images:
        raise RefusedError(
            f"The report {side} contradicts itself: what became of each image does not give its "
            "figures; a report as the audit wrote it is accepted."
        )
    return answers


def _torn(report: Report, answers: Answers) -> bool:
    """Whether lists have not one entry an image, or entries that no audit writes."""
    count, files = len(report.data.image_sha256), report.data.files
    still = answers.still
    lists: list[Sequence[object]] = [answers.labels, answers.kept, answers.deviation, answers.units]
    lists += [] if answers.expected is None else [answers.expected]
    lists += [files] if files else []
    numbers = (*answers.labels, *answers.units, *(answers.expected or ()))
    moved = (report.figures.largest_logit, *answers.deviation)
    return (
        count == 0
        or any(len(each) != count for each in lists)
        or not all(0 <= number < _MOST_NUMBER for number in numbers)
        or not all(0 <= place < count for place in still)
        or not all(0 <= value <= _MOST_LOGIT for value in moved)
        or max(answers.deviation) > _MOST_RELATIVE * (report.figures.largest_logit or 1)
    )


def _agreeing(answers: Answers) -> int:
    lost = {unit for unit, kept in zip(answers.units, answers.kept, strict=True) if not kept}
    return len({*answers.units} - lost)


_Keys = Sequence[tuple[str, int]]
"""The digest of each image, and what it shows: of equal images, those that show the same match."""


def _keyed(report: Report, answers: Answers) -> _Keys:
    shown = answers.expected or (0,) * len(answers.labels)
    return [*zip(report.data.image_sha256, shown, strict=True)]


def _by_digest(
    baseline: _Keys, candidate: _Keys
) -> tuple[NDArray[np.int64], NDArray[np.int64], Order]:
    if [digest for digest, _ in baseline] == [digest for digest, _ in candidate]:
        places = np.arange(len(baseline))
        return places, places, "same"
    # An image that comes more than once is matched as often as both have it.
    found = np.array(sorted(_pairs(baseline, candidate)), np.int64).reshape(-1, 2)
    both, counts = len(found), (len(baseline), len(candidate))
    if both < min(counts):
        raise RefusedError(
            f"A and B are not on the same images: of {counts[0]} and {counts[1]} images, both have "
            f"{both}; audits on the same ones, or on part of the other's, are accepted."
        )
    order: Order = "another" if both == max(counts) else "subset"
    return found[:, 0], found[:, 1], order


def _pairs(baseline: _Keys, candidate: _Keys) -> Iterator[tuple[int, int]]:
    places: dict[str, deque[int]] = defaultdict(deque)
    for place in sorted(range(len(candidate)), key=lambda place: candidate[place][1]):
        places[candidate[place][0]].append(place)
    for place in sorted(range(len(baseline)), key=lambda place: baseline[place][1]):
        if found := places[baseline[place][0]]:
            yield place, found.popleft()


def _joined(first: NDArray[np.int64], second: NDArray[np.int64]) -> Units:
    """Units of images [N], of which two are one unit if they are in either way, or by others."""
    groups: dict[tuple[int, int], int] = {}
    parents = list(range(len(first)))

    def root(n: int) -> int:
        while parents[n] != n:
            parents[n] = n = parents[parents[n]]
        return n

    for n, names in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
        for side, name in enumerate(names):
            parents[root(n)] = root(groups.setdefault((side, name), n))
    numbers: dict[int, int] = {}
    of = [numbers.setdefault(root(n), len(numbers)) for n in range(len(first))]
    return Units(np.array(of, np.int64))
