"""From two reports to a comparison."""

from dataclasses import replace
from itertools import compress

import numpy as np
from numpy.typing import NDArray

from audit.canonical import report_digest
from audit.comparison.claims import claims
from audit.comparison.matching import answers_of, match
from audit.comparison.outcomes import Outcomes, Truth, read_outcomes, read_truth
from audit.comparison.record import ComparedAudit, Comparison, Margins, Matching
from audit.comparison.testing import Tested, paired_tests
from audit.comparison.verdict import judge_comparison, judge_moved, shows_little
from audit.comparison.worse import worse_images
from audit.labels import refuse_several_labels
from audit.report import Report
from audit.units import Units
from audit.values import Judgement


def compare(
    baseline: Report,
    candidate: Report,
    margins: Margins | None = None,
    *,
    images: NDArray[np.uint8] | None = None,
    pictures: bool = True,
) -> Comparison:
    """Say whether the candidate is worse than the baseline, on the images that both have.

    Parameters
    ----------
    margins
        By how much it may be worse; see `Margins`.
    images : uint8 [N, C, n, n], or None
        Those of the baseline's report, for the pictures; without them, those that the reports hold.
    pictures
        Whether the comparison holds any.

    Raises
    ------
    RefusedError
        If a model gives several labels, the reports are not on the same images and rotations, do
        not say what became of each image, or disagree on what images show.
    """
    for side in (baseline, candidate):
        refuse_several_labels(side.model.multi_label, side.model.name, "compared")
    matched = match(baseline, candidate)
    margins = _resolved(margins or Margins(), baseline, candidate)
    truth = read_truth(baseline, candidate, matched)
    first = read_outcomes(baseline, candidate, matched.baseline, truth)
    second = read_outcomes(candidate, baseline, matched.candidate, truth)
    tested = paired_tests(first, second, truth, matched.units, margins)
    judgement = judge_comparison(tested, margins, len(matched.baseline), matched.units.count)
    still = np.isin(matched.baseline, answers_of(baseline, "A").still)
    still |= np.isin(matched.candidate, answers_of(candidate, "B").still)
    if judgement.verdict == "PASS" and still.any():
        moved = _without(still, first, second, truth, matched.units, margins)
        judgement = judge_moved(judgement, moved, len(still), int(still.sum()))
    doubts = tuple(shows_little(candidate, second.labels, matched.units, margins, still))
    if judgement.verdict == "PASS" and doubts:
        judgement = Judgement("INCONCLUSIVE", doubts)
    return Comparison(
        verdict=judgement.verdict,
        reasons=judgement.reasons,
        claim=tuple(claims(baseline, candidate, matched, margins)),
        baseline=_identity(baseline),
        candidate=_identity(candidate),
        elements=tuple(each.element for each in baseline.figures.elements),
        matching=Matching(
            images=len(matched.baseline), units=matched.units.count, order=matched.order
        ),
        margins=margins,
        kept=tested.kept,
        correct=tested.correct,
        steady=tested.steady,
        deviation=tested.deviation,
        classes=tested.classes,
        worse=worse_images(
            (baseline, candidate), (first, second), truth, matched, images, pictures=pictures
        ),
    )


def _without(
    still: NDArray[np.bool_],
    first: Outcomes,
    second: Outcomes,
    truth: Truth,
    units: Units,
    margins: Margins,
) -> Tested | None:
    """What is tested of the other images alone; None if there are none."""
    if still.all():
        return None
    here = ~still
    some = replace(truth, names=tuple(compress(truth.names, here)), numbers=truth.numbers[here])
    left = units.among(np.flatnonzero(here))
    return paired_tests(_of(first, here), _of(second, here), some, left, margins)


def _of(outcomes: Outcomes, here: NDArray[np.bool_]) -> Outcomes:
    return Outcomes(
        labels=tuple(compress(outcomes.labels, here)),
        kept=outcomes.kept[here],
        correct=None if outcomes.correct is None else outcomes.correct[here],
        deviation=outcomes.deviation[here],
    )


def _resolved(margins: Margins, baseline: Report, candidate: Report) -> Margins:
    if margins.logit_tolerance is not None:
        return margins
    tolerated = max(
        max(report.thresholds.logit_tolerance, report.noise_floor.relative)
        for report in (baseline, candidate)
    )
    return margins.model_copy(update={"logit_tolerance": tolerated})


def _identity(report: Report) -> ComparedAudit:
    return ComparedAudit(
        report=report_digest(report),
        model=report.model,
        verdict=report.verdict,
        source=report.data.source,
        images=report.data.count,
        largest_logit=report.figures.largest_logit,
        execution=report.execution,
    )
