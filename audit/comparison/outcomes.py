"""What each model did with the images that both were asked about."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from artifact.deviation import relative
from artifact.identity import ModelIdentity
from audit.comparison.matching import Matched, answers_of
from audit.report import Report
from imaging.refusal import RefusedError

Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What a model did with N images.

    Attributes
    ----------
    labels
        Names of the classes that upright images get.
    kept : bool [N]
        Whether the label is kept under all rotations.
    correct : bool [N], or None
        Whether it is the right one, where that is known.
    deviation : float64 [N]
        How far a logit moves, relative to the model's largest.
    """

    labels: tuple[str, ...]
    kept: Flags
    correct: Flags | None
    deviation: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Truth:
    """What N images show: names of classes, and their numbers, int64 [N].

    Attributes
    ----------
    known
        Whether somebody said so; else it is what the baseline calls them.
    """

    names: tuple[str, ...]
    numbers: NDArray[np.int64]
    known: bool


def read_truth(baseline: Report, candidate: Report, matched: Matched) -> Truth:
    """Say what the images show, as either report says, or else as the baseline calls them.

    Raises
    ------
    RefusedError
        If the reports say different things of an image.
    """
    said = [
        _names_of(report, other, answers.expected, places)
        for report, other, answers, places in (
            (baseline, candidate, answers_of(baseline, "A"), matched.baseline),
            (candidate, baseline, answers_of(candidate, "B"), matched.candidate),
        )
        if answers.expected is not None
    ]
    for a, b, place in zip(said[0], said[-1], matched.baseline, strict=True) if said else ():
        if a != b:
            raise RefusedError(
                f"{baseline.data.image_name(int(place))} shows '{a}' according to A and '{b}' "
                "according to B; reports that agree on what their images show are accepted."
            )
    labels = _labels(baseline, candidate, matched.baseline)
    names = said[0] if said else labels
    classes = _classes(baseline.model, candidate.model)
    order = {name: k for k, name in enumerate(dict.fromkeys((*classes, *sorted(set(names)))))}
    return Truth(names, np.array([order[name] for name in names], np.int64), bool(said))


def read_outcomes(
    report: Report, other: Report, places: NDArray[np.int64], truth: Truth
) -> Outcomes:
    """Say what a report's model did with its images at int64 [N] places."""
    answers = answers_of(report, "")
    labels = _labels(report, other, places)
    right = [label == name for label, name in zip(labels, truth.names, strict=True)]
    return Outcomes(
        labels=labels,
        kept=np.array(answers.kept, np.bool_)[places],
        correct=np.array(right, np.bool_) if truth.known else None,
        deviation=relative(np.array(answers.deviation)[places], report.figures.largest_logit),
    )


def _labels(report: Report, other: Report, places: NDArray[np.int64]) -> tuple[str, ...]:
    return _names_of(report, other, answers_of(report, "").labels, places)


def _names_of(
    report: Report, other: Report, labels: Sequence[int] | None, places: NDArray[np.int64]
) -> tuple[str, ...]:
    """Names of classes at places; where a model has none, those of the other one."""
    named = report.model.model_copy(update={"classes": _classes(report.model, other.model)})
    return tuple(named.class_name((labels or ())[place]) for place in places)


def _classes(model: ModelIdentity, other: ModelIdentity) -> tuple[str, ...]:
    return model.classes or other.classes
