"""A report as JUnit XML, for CI: a FAIL is a failure, and INCONCLUSIVE is an error."""

from collections.abc import Iterator
from typing import Final
from xml.etree import ElementTree

from audit.canonical import report_digest
from audit.render.checks import Check, checks
from audit.render.properties import properties
from audit.render.text import render_text
from audit.report import Report

_OUTCOMES: Final = {"FAIL": "failure", "INCONCLUSIVE": "error"}

# What XML 1.0 has no way to write (section 2.2), but a path may hold.
_UNWRITABLE: Final = dict.fromkeys(
    (*(c for c in range(0x20) if chr(c) not in "\t\n\r"), 0xFFFE, 0xFFFF),
    "\N{REPLACEMENT CHARACTER}",
)


def render_junit(report: Report) -> bytes:
    """Write a test suite with a test case for each check.

    A failure means that the model was shown not to keep its answers; an error that nothing was
    shown, for lack of images for instance. Both are red. There are no times in it.
    """
    found = checks(report)
    counts = {"tests": len(found)} | {
        f"{outcome}s": sum(check.verdict == verdict for check in found)
        for verdict, outcome in _OUTCOMES.items()
    }
    written = {name: str(count) for name, count in counts.items()}
    suites = ElementTree.Element("testsuites", {"name": "orbitserve audit", **written})
    model = report.model
    suite = _element(
        suites, "testsuite", name=f"{model.name}/{model.version}", skipped="0", **written
    )
    held = ElementTree.SubElement(suite, "properties")
    for name, value in _properties(report):
        _element(held, "property", name=name, value=value)
    for check in found:
        _case(suite, check, f"{model.name}.{model.version}")
    _element(suite, "system-out").text = _writable(render_text(report))
    ElementTree.indent(suites)
    text: bytes = ElementTree.tostring(suites, encoding="utf-8", xml_declaration=True)
    return text + b"\n"


def _case(suite: ElementTree.Element, check: Check, model: str) -> None:
    case = _element(suite, "testcase", name=check.name, classname=f"{model}.{check.id}")
    if (outcome := _OUTCOMES.get(check.verdict)) is not None:
        told = _element(case, outcome, message=check.reasons[0], type=check.verdict)
        told.text = _writable("\n".join((*check.reasons, "", *check.claim)))


def _properties(report: Report) -> Iterator[tuple[str, str]]:
    yield "verdict", report.verdict
    yield "report.sha256", report_digest(report)
    yield "model.sha256", report.model.sha256
    yield "data.sha256", report.data.sha256
    yield "data.source", report.data.source
    yield from properties(report)
    if report.replay is not None:
        yield "replay", report.replay


def _element(parent: ElementTree.Element, tag: str, **attributes: str) -> ElementTree.Element:
    written = {name: _writable(value) for name, value in attributes.items()}
    return ElementTree.SubElement(parent, tag, written)


def _writable(text: str) -> str:
    return text.translate(_UNWRITABLE)
