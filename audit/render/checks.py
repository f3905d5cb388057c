"""A report as a list of checks with a verdict each, for readers that know tests and findings."""

from collections.abc import Iterator
from dataclasses import dataclass

from artifact.values import Verdict
from audit.angles import AngleSelfTest
from audit.report import Report, SelfTest


@dataclass(frozen=True)
class Check:
    """One thing that was asked.

    Attributes
    ----------
    id
        The same in all reports: `"self-test"`, `"exact-orbit"`, `"angles-self-test"` or
        `"sampled-angles"`.
    name
        What was asked, in words.
    verdict, reasons
        What came out.
    claim
        What the verdict says, and what it does not, in sentences.
    """

    id: str
    name: str
    verdict: Verdict
    reasons: tuple[str, ...]
    claim: tuple[str, ...] = ()


def checks(report: Report) -> tuple[Check, ...]:
    """The checks of a report, in the order in which they were made."""
    return tuple(_checks(report))


def _checks(report: Report) -> Iterator[Check]:
    if (tested := report.self_test) is not None:
        yield _self_test(
            "self-test",
            "The audit was first tried on two models whose right verdict is known.",
            tested.passed,
            (*_tried(tested), _meaning(tested.passed)),
        )
    found = report.orbit
    tried = ", ".join(element.element for element in report.figures.elements)
    yield Check(
        "exact-orbit",
        f"The answers stay the same under {tried}.",
        found.verdict,
        found.reasons,
        report.claim,
    )
    if (angles := report.angles) is None:
        return
    if (rotated := angles.self_test) is not None:
        yield _self_test(
            "angles-self-test",
            "The audit at angles was first tried where the right outcome is known.",
            rotated.passed,
            (*_tried_at_angles(rotated), _meaning(rotated.passed)),
        )
    yield Check(
        "sampled-angles",
        f"The labels stay the same at {angles.sampling.count} angles, with "
        f"{angles.sampling.method} interpolation.",
        angles.verdict,
        angles.reasons,
        angles.claim,
    )


def _self_test(id: str, name: str, passed: bool, outcome: tuple[str, ...]) -> Check:  # noqa: A002
    """Nothing can be concluded by an audit that fails its own test."""
    return Check(id, name, "PASS" if passed else "INCONCLUSIVE", outcome)


def _tried(tested: SelfTest) -> Iterator[str]:
    if tested.mutation == "one weight changed":
        yield (
            "A copy of this model with one weight changed, which must be judged FAIL, was judged "
            f"{tested.mutant} on {tested.images} of the images."
        )
    else:
        yield _orientation_bias(tested.mutant, tested.images)
    yield _brightness(tested.known_invariant)


def _tried_at_angles(tested: AngleSelfTest) -> Iterator[str]:
    yield _orientation_bias(tested.mutant, tested.images)
    yield _brightness(tested.known_invariant)
    if tested.quarters_exact:
        yield "A picture rotated by 90 degrees was the one whose pixels change places, as it must."
    else:
        yield "A picture rotated by 90 degrees was not the one whose pixels change places."


def _orientation_bias(verdict: Verdict, images: int) -> str:
    return (
        "This model, made to answer otherwise where an image is brighter on one side, must be "
        f"judged FAIL, and was judged {verdict} on {images} of the images."
    )


def _brightness(verdict: Verdict) -> str:
    return (
        "A simple model that only tells bright images from dark ones, which no rotation changes, "
        f"must not be judged FAIL, and was judged {verdict}."
    )


def _meaning(passed: bool) -> str:
    if passed:
        return "So the audit finds a fault on these images, and finds none where there is none."
    return "So nothing can be concluded from a PASS of this audit on these images."
