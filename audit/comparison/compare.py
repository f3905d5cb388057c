"""From two reports to a comparison."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from audit.canonical import report_digest
from audit.comparison.matching import Matched, match
from audit.comparison.outcomes import read_outcomes, read_truth
from audit.comparison.record import ComparedAudit, Comparison, Margins, Matching
from audit.comparison.testing import paired_tests
from audit.comparison.verdict import judge_comparison
from audit.comparison.worse import worse_images
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
        If the reports are not on the same images and turns, do not say what became of each image,
        or disagree on what images show.
    """
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
        claim=tuple(_claim(baseline, candidate, matched, margins)),
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


def _proved(report: Report) -> bool:
    return report.proof is not None and report.proof.covers


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


def _claim(
    baseline: Report, candidate: Report, matched: Matched, margins: Margins
) -> Iterator[str]:
    chance = f"{100 * (1 - margins.confidence):.6g}%"
    tried = ", ".join(each.element for each in baseline.figures.elements)
    yield (
        f"It speaks of both models as they ran, of the turns that were tried ({tried}), and of "
        "images drawn as these were."
    )
    yield (
        f"A model that is worse by just a margin passes with a chance of at most {chance}, and one "
        f"that is as good fails with at most {chance}."
    )
    if matched.order == "another":
        yield "B has the images of A in another order: they were matched by their digests."
    if matched.order == "subset":
        counts = [report.data.count for report in (baseline, candidate)]
        yield (
            f"A has {counts[0]} images and B {counts[1]}: the {len(matched.baseline)} that both "
            "have were matched by their digests, and nothing is said of the others."
        )
    if matched.units.count < len(matched.baseline):
        yield (
            f"The {len(matched.baseline)} images count as {matched.units.count}: those that either "
            "report counts once count once together."
        )
    if _proved(baseline) and not _proved(candidate):
        yield "The file of A is proved to keep its answer for every image, and that of B is not."
    if baseline.model.sha256 == candidate.model.sha256:
        yield "A and B are the same file: whatever differs is the doing of what ran them."
    if baseline.execution and candidate.execution and baseline.execution != candidate.execution:
        yield "A and B were not run in the same way on the same machine, which moves logits too."
