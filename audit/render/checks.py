"""A report as a list of checks with a verdict each, for readers that know tests and findings."""

from collections.abc import Iterator
from dataclasses import dataclass

from audit.report import Report
from audit.values import Verdict


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
            "The procedure tells a broken symmetry from a sound one",
            tested.passed,
            f"{tested.mutation.capitalize()}: {tested.mutant}, where FAIL is right; bright told "
            f"from dark: {tested.twin}, where FAIL is wrong.",
        )
    found = report.orbit
    yield Check(
        "exact-orbit",
        f"Labels and logits are kept under {report.group}",
        found.verdict,
        found.reasons,
        report.claim,
    )
    if (angles := report.angles) is None:
        return
    if (turned := angles.self_test) is not None:
        yield _self_test(
            "angles-self-test",
            "The procedure at angles tells what turns with an image from what does not",
            turned.passed,
            f"Told up from down: {turned.mutant}, where FAIL is right; bright told from dark: "
            f"{turned.twin}, where FAIL is wrong; quarter turns are those of the pixel grid: "
            f"{'yes' if turned.quarters_exact else 'no'}.",
        )
    yield Check(
        "sampled-angles",
        f"Labels are kept at {angles.sampling.count} angles, {angles.sampling.method}",
        angles.verdict,
        angles.reasons,
        angles.claim,
    )


def _self_test(id: str, name: str, passed: bool, outcome: str) -> Check:  # noqa: A002
    """Nothing can be concluded by a procedure that fails its own test."""
    return Check(id, name, "PASS" if passed else "INCONCLUSIVE", (outcome,))
