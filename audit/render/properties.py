"""What a report holds as names and values, for formats with a place for such."""

from collections.abc import Iterator

from audit.report import Report


def properties(report: Report) -> Iterator[tuple[str, str]]:
    """What is proved of the file, then what somebody said of the audit, as far as there is any."""
    yield from _proof(report)
    for name, value in said_about(report):
        yield f"about.{name}", value


def said_about(report: Report) -> Iterator[tuple[str, str]]:
    """What somebody said of the audit and its images, a name and a text each."""
    if (about := report.about) is None:
        return
    for name in ("requirement", "intended_use", "auditor", "rationale"):
        if (value := getattr(about, name)) is not None:
            yield name, value
    for name in ("supplier", "sampling", "licence"):
        if (value := getattr(about.data, name)) is not None:
            yield f"data.{name}", value
    for name, value in about.notes.items():
        yield f"notes.{name}", value


def _proof(report: Report) -> Iterator[tuple[str, str]]:
    if (proof := report.proof) is None:
        return
    yield "proof.outcome", proof.outcome or "none"
    yield "proof.subgroup", proof.subgroup
    yield "proof.covers", str(proof.covers).lower()
    yield "proof.exact_bits", str(proof.exact_bits).lower()
    yield "proof.arithmetic", proof.arithmetic or "none"
    yield "proof.runs_exactly", str(proof.runs_exactly).lower()
    yield "proof.sentence", proof.sentence()
