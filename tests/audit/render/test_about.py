"""What was proved of the file, and what somebody said of the audit, is in every format."""

import json

import pytest

from audit import Report
from audit.about import About, AboutData
from audit.proved import ProofSummary
from audit.render import render, render_text
from tests.audit.render.conftest import HARD_NAMES, NASTY
from tests.audit.render.test_cyclonedx import VALIDATOR, component
from tests.audit.render.test_html import page
from tests.audit.render.test_in_toto import read as read_in_toto
from tests.audit.render.test_junit import read as read_junit
from tests.audit.render.test_sarif import Sarif

PROOF = ProofSummary(
    outcome="PROVED",
    subgroup="C4",
    covers=True,
    exact_bits=True,
    arithmetic="integer",
    runs_exactly=True,
    reasons=("All outputs are the same.",),
)
ABOUT = About(
    requirement="REQ-17",
    intended_use="Sorting bolts.",
    auditor="A. Auditor",
    rationale="As the contract asks.",
    data=AboutData(supplier="Works 3", sampling="Every tenth part.", licence="CC0-1.0"),
    notes={"shift": "night", NASTY: NASTY, **{name: name for name in HARD_NAMES[:9]}},
)
TEXTS = ("REQ-17", "Sorting bolts.", "A. Auditor", "As the contract asks.", "Works 3", "CC0-1.0")


@pytest.fixture
def told(report: Report) -> Report:
    return report.model_copy(update={"proof": PROOF, "about": ABOUT})


def test_people_read_both(told: Report) -> None:
    for said in (render_text(told), page(told).text, render_text(told, "de")):
        assert all(text in said for text in TEXTS)
        assert "PROVED" in said
    assert PROOF.sentence() in page(told).text


def test_a_report_without_either_says_neither(report: Report) -> None:
    assert "What was said of this audit" not in page(report).text
    assert "What is proved of the file" not in page(report).text


def test_names_of_notes_are_words_and_never_code(report: Report, told: Report) -> None:
    extra = {"td", "th", "tr", "bdi", "h2", "p", "table", "section", "ul", "li", "details"}
    assert set(page(told).tags) - set(page(report).tags) <= {*extra, "summary"}
    assert "\x1b" not in render_text(told)


def test_programs_read_both(told: Report) -> None:
    properties = {each.name: each.value for each in read_junit(render(told, "junit")).properties()}
    assert properties["about.requirement"] == "REQ-17"
    assert properties["proof.outcome"] == "PROVED"
    Sarif.model_validate_json(render(told, "sarif"))
    held = json.loads(render(told, "sarif"))["runs"][0]["properties"]
    assert held["about.data.supplier"] == "Works 3"
    assert held["proof.exact_bits"] == "true"
    assert held[f"about.notes.{NASTY}"] == NASTY
    assert VALIDATOR.validate_str(render(told, "cyclonedx").decode()) is None
    named = {each["name"]: each["value"] for each in component(told)["properties"]}
    assert named["orbitserve:audit:about.notes.shift"] == "night"
    assert named["orbitserve:audit:proof.covers"] == "true"
    _, result = read_in_toto(render(told, "in-toto"))
    annotations = result.configuration[0].annotations
    assert annotations["about"]["auditor"] == "A. Auditor"
    assert annotations["proof"]["sentence"] == PROOF.sentence()
