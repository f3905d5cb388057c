"""What a comparison claims and what it does not, in sentences."""

from collections.abc import Iterator

from audit.comparison.matching import Matched
from audit.comparison.record import Margins
from audit.names import shortened
from audit.report import Report


def claims(
    baseline: Report, candidate: Report, matched: Matched, margins: Margins
) -> Iterator[str]:
    """Say what a comparison's verdict speaks of, what it leaves open, and what to know of both."""
    chance = f"{100 * (1 - margins.confidence):.6g}%"
    tried = ", ".join(each.element for each in baseline.figures.elements)
    yield (
        f"It speaks of both models as they ran, of the rotations that were tried ({tried}), and of "
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


def otherwise_fitted(baseline: str, candidate: str) -> str:
    """Say that two models fit images otherwise, given what they are called."""
    here, there = shortened(baseline), shortened(candidate)
    return (
        f"{there} fits images to its input otherwise than {here} does: both were asked about "
        f"images as {here} fits them."
    )


def _proved(report: Report) -> bool:
    return report.proof is not None and report.proof.bounds_what_runs
