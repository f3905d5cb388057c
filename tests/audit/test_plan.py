"""What somebody says of an audit, and what a file of it asks for."""

import os
import time

import pytest

from audit.about import About, AboutData
from audit.options import AuditOptions
from audit.plan import read_plan
from imaging import RefusedError

WHOLE = """
requirement: REQ-7
intended_use: sorts bolts from washers
auditor: R. Moreau
rationale: |
  two lines,
  kept as they stand
data:
  supplier: Werk Süd
  sampling: every tenth part of 2026-01-01
  licence: 1.10
notes:
  shift: 2
options:
  agreement: 0.98
  angles: 36
  no_classes: true
  group: C4
"""


def test_a_plan_is_what_it_says(tmp_path):
    path = tmp_path / "audit.yaml"
    path.write_text(WHOLE, encoding="utf-8")
    plan = read_plan(path)
    assert plan.about == About(
        requirement="REQ-7",
        intended_use="sorts bolts from washers",
        auditor="R. Moreau",
        rationale="two lines,\nkept as they stand",
        data=AboutData(
            supplier="Werk Süd", sampling="every tenth part of 2026-01-01", licence="1.10"
        ),
        notes={"shift": "2"},
    )
    assert plan.asked == {"agreement": 0.98, "angles": 36, "no_classes": True, "group": "C4"}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "has no fields"),
        ("- a", "has no fields"),
        ("requirement: [", "no YAML file"),
        ("requirement: a\nrequirement: b", "it has 'requirement' twice"),
        ("options: {agreement: 0.99, agreement: 0.5}", "it has 'agreement' twice"),
        ("requirment: x", "a field 'requirment'"),
        ("requirement: ''", "broken at 'requirement'"),
        ("requirement: [a]", "broken at 'requirement'"),
        ("options: {agrement: 0.9}", "a field 'options.agrement'; 'group'"),
        ("options: {agreement: 1}", "broken at 'options.agreement'"),
        ("options: {angles: many}", "broken at 'options.angles'"),
        ("data: {source: x}", "a field 'data.source'"),
        ("notes: {a: {b: c}}", "broken at 'notes.a'"),
        ("!!python/object/apply:os.system ['true']", "has no fields"),
        ("[" * 1000, "no YAML file"),
        ("a: \x00", "no YAML file"),
    ],
)
def test_what_is_no_plan_is_one_sentence(tmp_path, text, words):
    path = tmp_path / "audit.yaml"
    path.write_text(text)
    with pytest.raises(RefusedError) as refused:
        read_plan(path)
    assert words in str(refused.value)
    assert "\n" not in str(refused.value)


def test_only_a_regular_file_is_read(tmp_path):
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").write_bytes(b"a" * (2**20 + 1))
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\x00")
    for name in ("fifo", "large", "bytes", "none", "."):
        with pytest.raises(RefusedError):
            read_plan(tmp_path / name)


def test_references_to_references_take_no_time(tmp_path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]" for i in range(1, 30)]
    (tmp_path / "bomb").write_text("\n".join(lines))
    began = time.process_time()
    with pytest.raises(RefusedError, match="a field 'a0'"):
        read_plan(tmp_path / "bomb")
    assert time.process_time() - began < 5


def test_options_are_the_words_that_give_them():
    asked = AuditOptions(angles=36, no_classes=True, pictures=False, agreement=0.98, quick=True)
    assert list(asked.words()) == [
        *("--agreement", "0.98", "--no-classes", "--angles", "36", "--quick", "--no-pictures")
    ]
    assert list(AuditOptions().words()) == []
