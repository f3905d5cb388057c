"""From two reports to a comparison."""

import numpy as np
from numpy.typing import NDArray

from audit.canonical import report_digest
from audit.comparison.claims import claims
from audit.comparison.matching import match
from audit.comparison.outcomes import read_outcomes, read_truth
from audit.comparison.record import ComparedAudit, Comparison, Margins, Matching
from audit.comparison.testing import paired_tests
from audit.comparison.verdict import judge_comparison
from audit.comparison.worse import worse_images
from audit.labels import refuse_several_labels
from audit.report import Report


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
