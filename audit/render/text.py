"""A report for a terminal."""

from collections.abc import Iterator
from textwrap import wrap

from audit.names import LONGEST, harmless, readable
from audit.render.language import Language, Words, words_of
from audit.render.naming import Naming, what_is_said
from audit.render.properties import said_about
from audit.render.text_sections import (
    angle_lines,
    exhaustive_lines,
    orbit_lines,
    proof_lines,
    self_test_lines,
)
from audit.report import Report

_WIDTH = 100


def render_text(report: Report, language: Language = "en") -> str:
    """Return the report in a few lines: verdict, reasons, figures, self-tests, claims, names."""
    words = words_of(language)
    naming = Naming(report, words)
    lines = [*_head(report, words), ""]
    if report.proof is not None:
        lines += [*proof_lines(report.proof, words), ""]
    lines += [*orbit_lines(report, words, naming)]
    lines += self_test_lines(report, "self-test", words)
    if report.angles is not None:
        lines += ["", *angle_lines(report.angles, words, naming)]
        lines += self_test_lines(report, "angles-self-test", words)
    if report.exhaustive_angles is not None:
        lines += ["", *exhaustive_lines(report.exhaustive_angles, words, naming)]
    lines += ["", words("What is claimed:"), *_claims(report, words), *_said(report, words)]
    return harmless("\n".join([*lines, *_whole_names(report, words)]))


def _head(report: Report, words: Words) -> Iterator[str]:
    model = report.model
    yield words(
        "{verdict}  {model} version {version}, over {group}",
        verdict=report.verdict,
        model=readable(model.name),
        version=model.version,
        group=report.group,
    )
    if words.language != "en":
        yield f"  {words(report.verdict)}"
    yield from (f"  {words.sentence(reason)}" for reason in report.reasons)


def _said(report: Report, words: Words) -> Iterator[str]:
    """What somebody said of the audit, under its names."""
    entries = [*said_about(report)]
    if entries:
        yield ""
        yield words("What was said of this audit")
    for name, value in entries:
        told = f"{what_is_said(name, words)}: {readable(value)}"
        yield from wrap(told, _WIDTH, initial_indent="- ", subsequent_indent="  ")


def _claims(report: Report, words: Words) -> Iterator[str]:
    claims = [*report.claim]
    if report.angles is not None:
        claims += report.angles.claim
    if report.exhaustive_angles is not None:
        claims += report.exhaustive_angles.claim
    for claim in claims:
        yield from wrap(words.sentence(claim), _WIDTH, initial_indent="- ", subsequent_indent="  ")


def _whole_names(report: Report, words: Words) -> Iterator[str]:
    """Say names whole that stand shortened above."""
    cut = [readable(name) for name in report.model.classes if len(name) > LONGEST]
    shown = {worst.index for worst in report.worst[:1]}
    if report.angles is not None:
        shown |= {worst.index for worst in report.angles.figures.worst[:1]}
    if report.exhaustive_angles is not None:
        shown |= {image.index for image in report.exhaustive_angles.images}
    files = report.data.files
    cut += [readable(files[n]) for n in sorted(shown) if files and len(files[n]) > LONGEST]
    if cut:
        yield ""
        yield words("Names that are shortened above:")
        yield from (f"- {name}" for name in cut)
