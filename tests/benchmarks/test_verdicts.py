"""Models whose verdict is known get it, and an audit with a part broken does not give it."""

from pathlib import Path

import pytest

from benchmarks import verdicts

CASES = {case.name: case for case in verdicts.cases()}


# Of a small network in both kinds of arithmetic an audit takes a second, of the others up to ten.
LONG = {name for name in CASES if name.startswith("rotmnist-") and "small" not in name}
LONG.add("on two images, 256 times each")


@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=[pytest.mark.slow] * (name in LONG)) for name in CASES],
)
def test_the_verdict_is_right_and_the_docs_have_it(name: str) -> None:
    case = CASES[name]
    assert verdicts.verdict(case) == case.due
    assert f"| {name} | {case.due} | {case.due} |" in Path("docs/audit.md").read_text()


@pytest.mark.parametrize(
    ("part", "broken", "name"),
    [
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
    ],
)
def test_without_one_of_its_parts_a_verdict_is_wrong(
    part: str, broken: object, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The mutants of the audit."""
    monkeypatch.setattr(part, broken)
    if name == "for all but two":  # few images of a class are a doubt of their own
        monkeypatch.setattr("audit.verdict.class_doubts", lambda *_: ())
    assert verdicts.verdict(CASES[name]) != CASES[name].due
