"""The paired tests of a comparison: each figure with its p-values and what it shows alone."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from artifact.values import Interval, Verdict
from audit.comparison.outcomes import Flags, Outcomes, Truth
from audit.comparison.record import ClassPaired, Margins, Paired, PairedDeviation
from audit.statistics import (
    Discordance,
    difference_interval,
    discordance,
    holm,
    larger,
    mcnemar,
    mean_interval,
    not_worse,
    worse,
)
from audit.units import Units

Shown = Callable[[Discordance, float], Interval]


@dataclass(frozen=True)
class Tested:
    """All that was tested, see `Comparison`."""

    kept: Paired
    correct: Paired | None
    steady: Paired
    deviation: PairedDeviation
    classes: tuple[ClassPaired, ...]


@dataclass(frozen=True, eq=False)
class _Trial:
    """Units that do something with the baseline and with the candidate, bool [U] each."""

    first: Flags
    second: Flags
    margin: float

    @property
    def pairs(self) -> Discordance:
        return discordance(self.first, self.second)

    def of(self, chosen: Flags, margin: float) -> "_Trial":
        return replace(self, first=self.first[chosen], second=self.second[chosen], margin=margin)


def paired_tests(
    first: Outcomes,
    second: Outcomes,
    truth: Truth,
    units: Units,
    margins: Margins,
    interval: Shown = difference_interval,
) -> Tested:
    """Test a candidate, the second, against a baseline, on the same images.

    Whether it is worse is asked of all figures at once: half of what may go wrong is shared out
    among those of all images, and half among those of classes, by Holm in either.

    Parameters
    ----------
    interval
        Gives those that are shown beside the tests; nothing is decided by them.
    """
    by_class = margins.class_margin
    overall = [*_overall(first, second, units, margins)]
    moved = _worst_of(units, second.deviation) - _worst_of(units, first.deviation)
    shares = 1 if by_class is None else 2
    *each_p, larger_p = _adjusted([worse(t.pairs) for t in overall] + [larger(moved)], shares)
    level = 1 - margins.confidence
    measured = [
        _paired(t, p, margins.confidence, interval) for t, p in zip(overall, each_p, strict=True)
    ]
    kept, *known, steady = measured
    mean = mean_interval(moved, margins.confidence)
    return Tested(
        kept=kept,
        correct=known[0] if known else None,
        steady=steady,
        deviation=PairedDeviation(
            baseline=float(_worst_of(units, first.deviation).mean()),
            candidate=float(_worst_of(units, second.deviation).mean()),
            difference=float(moved.mean()),
            interval=mean,
            larger_p=larger_p,
            state=_state(mean.high <= margins.deviation_margin, larger_p < level),
        ),
        classes=()
        if by_class is None
        else _classes(first, second, truth, units, margins, by_class, interval),
    )


def _overall(first: Outcomes, second: Outcomes, units: Units, margins: Margins) -> Iterator[_Trial]:
    def trial(a: Flags, b: Flags) -> _Trial:
        return _Trial(units.all(a), units.all(b), margins.margin)

    tolerance = margins.logit_tolerance or 0.0
    yield trial(first.kept, second.kept)
    if first.correct is not None and second.correct is not None:
        yield trial(first.correct, second.correct)
    yield trial(first.deviation <= tolerance, second.deviation <= tolerance)


def _classes(
    first: Outcomes,
    second: Outcomes,
    truth: Truth,
    units: Units,
    margins: Margins,
    margin: float,
    interval: Shown,
) -> tuple[ClassPaired, ...]:
    """Test each class by its own images: a unit with images of two classes counts in both."""
    names = dict(zip(truth.numbers.tolist(), truth.names, strict=True))
    shares = units.split(truth.numbers)
    of_class = shares.first(truth.numbers)
    labels = np.unique(of_class).tolist()
    *whole, _ = _overall(first, second, shares, margins)
    trials = [[trial.of(of_class == label, margin) for trial in whole] for label in labels]
    adjusted = iter(_adjusted([worse(trial.pairs) for row in trials for trial in row], 2))
    rows = [
        [_paired(trial, next(adjusted), margins.confidence, interval) for trial in row]
        for row in trials
    ]
    return tuple(
        ClassPaired(label=label, name=names[label], kept=row[0], correct=(*row, None)[1])
        for label, row in zip(labels, rows, strict=True)
    )


def _paired(trial: _Trial, worse_p: float, confidence: float, interval: Shown) -> Paired:
    pairs, level = trial.pairs, 1 - confidence
    within_p = not_worse(pairs, trial.margin)
    return Paired(
        units=pairs.units,
        baseline=int(trial.first.sum()),
        candidate=int(trial.second.sum()),
        lost=pairs.lost,
        gained=pairs.gained,
        difference=pairs.difference,
        interval=interval(pairs, confidence),
        mcnemar_p=mcnemar(pairs),
        worse_p=worse_p,
        within_p=within_p,
        state=_state(within_p < level, worse_p < level),
    )


def _state(within: bool, is_worse: bool) -> Verdict:
    return "PASS" if within else "FAIL" if is_worse else "INCONCLUSIVE"


def _adjusted(p_values: Sequence[float], shares: int) -> list[float]:
    return [min(1.0, shares * float(p)) for p in holm(np.array(p_values))]


def _worst_of(units: Units, deviation: NDArray[np.float64]) -> NDArray[np.float64]:
    """The largest deviation among the images of each unit: from float64 [N] to float64 [U]."""
    largest = np.zeros(units.count)
    np.maximum.at(largest, units.of, deviation)
    return largest
