"""Models whose verdict is known get it, and an audit with a part broken does not give it."""

from pathlib import Path
from typing import Any

import pytest

from benchmarks import verdicts
from benchmarks.verdicts.shipped import shipped

CASES = {case.name: case for case in verdicts.cases()}


# An audit at angles, or of a network that ships, takes a second and up to ten.
LONG = {case.name for case in shipped()}
LONG |= {name for name, case in CASES.items() if case.angles is not None}


def long(*cases: Any) -> list[Any]:
    return [pytest.param(*case, marks=[pytest.mark.slow] * (case[-1] in LONG)) for case in cases]


@pytest.mark.parametrize("name", long(*((name,) for name in CASES)))
def test_the_verdict_is_right_and_the_docs_have_it(name: str) -> None:
    case = CASES[name]
    assert verdicts.verdict(case) == case.due
    assert f"| {name} | {case.due} | {case.due} |" in Path("docs/statistics.md").read_text()


@pytest.mark.parametrize(
    ("part", "broken", "name"),
    long(
        ("audit.verdict.monotony", lambda *_: (), "for all but two"),
        ("audit.figures.check_labels", lambda *_: None, "a label of 99"),
        (
            "audit.units._orbit_name",
            lambda image, _: image.tobytes(),
            "128 images in four rotations each",
        ),
        ("audit.verdict._unmoved", lambda *_: True, "without its proof, on 80 images"),
        ("audit.verdict._unmoved", lambda *_: False, "a file that is proved, on 80 images"),
        ("audit.pipeline._self_test", lambda *_: None, "that compares nothing"),
        ("audit.pipeline._self_test", lambda *_: None, "that makes rotated images brighter"),
        (
            "audit.angles.run.self_test_angles",
            lambda *_, **__: None,
            "that rotates about another centre",
        ),
        ("audit.figures._repeating", lambda *_: None, "does not repeat itself"),
        (
            "audit.verdict.unmoving",
            lambda *_: (),
            "tells up from down, on images that half a turn keeps but for 32",
        ),
    ),
)
def test_without_one_of_its_parts_a_verdict_is_wrong(
    part: str, broken: object, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutants of the audit."""
    monkeypatch.setattr(part, broken)
    if name == "for all but two":  # few images of a class are a doubt of their own
        monkeypatch.setattr("audit.verdict.class_doubts", lambda *_: ())
    assert verdicts.verdict(CASES[name]) != CASES[name].due
