"""Whatever a report says, it is refused when it is read, or can be written in every format."""

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

import pytest

from audit import Classifier, Report
from audit.comparison import compare
from audit.history import History, HistoryPoint
from audit.proved import ProofSummary
from audit.reading import parse_report
from audit.render import FORMATS, render
from audit.render.comparison import COMPARISON_FORMATS
from audit.render.history import Addresses, render_history
from audit.report import Repeating
from imaging.refusal import RefusedError

Path = tuple[str | int, ...]

_COMPARED = {"data", "model", "noise_floor", "thresholds", "answers", "largest_logit", "elements"}
"""Fields that a comparison reads; it takes as long as all formats together."""


@pytest.fixture(scope="module")
def real(make: Callable[..., Report], plain: Classifier) -> Report:
    """A report of few images in which everything is said that can be."""
    files = tuple(f"/data/{n}.png" for n in range(6))
    made = make(plain, 6, classes=("bolt", "nut", "pin", "rod", "cap"), files=files)
    interval = made.figures.agreement_interval
    repeating = Repeating(
        agreeing_images=3, agreement_interval=interval, exceeding_p=0.5, losing_p=0.5
    )
    noise_floor = made.noise_floor.model_copy(update={"elsewhere": 0.1, "repeating": repeating})
    proof = ProofSummary(outcome="NOT PROVED", subgroup="C4", reasons=("It is not.",))
    told = made.model_copy(
        update={"noise_floor": noise_floor, "proof": proof, "label_sets": ((0, 1),)}
    )
    return Report.model_validate_json(told.model_dump_json())


@pytest.mark.parametrize(
    ("place", "value"),
    [
        ("reasons", []),
        ("angles.reasons", []),
        ("proof.reasons", []),
        ("worst.0.index", 6),
        ("worst.0.index", -1),
        ("angles.figures.worst.0.index", 6),
        ("exhaustive_angles.images.0.index", 6),
        ("worst.0.label", 5),
        ("angles.figures.worst.0.label", 5),
        ("worst.0.counterexample.upright_logits", []),
        ("worst.0.counterexample.rotated_logits", [1.0]),
        ("angles.counterexamples.0.upright_logits", [1.0]),
        ("worst.0.counterexample.upright_logits.0", 1e300),
        ("data.files", ["a.png"]),
        ("data.image_sha256", []),
        ("label_sets", [[5]]),
        ("figures.accuracy.correct", 10**400),
        ("figures.label_entropy", 1e300),
        ("figures.deviations.unmoved", 10**400),
        ("verdict", "PASS"),
        ("orbit_verdict", "INCONCLUSIVE"),
        ("figures.agreeing_images", 7),
        ("figures.label_agreement", 1.5),
        ("figures.chance_agreement", -0.1),
        ("figures.agreement_interval.low", 1.0),
        ("figures.label_agreement", 0.9),
        ("figures.images", 0),
        ("figures.max_logit_deviation", -1.0),
        ("figures.largest_logit", -1.0),
        ("figures.elements.0.changed_labels", 7),
        ("figures.deviations.unmoved", 5),
        ("figures.deviations.bins.0.images", 5),
        ("figures.deviations.median", -1.0),
        ("figures.answers.labels", []),
        ("figures.answers.expected", [1]),
        ("figures.answers.kept", [True]),
        ("figures.answers.deviation", []),
        ("figures.answers.deviation.0", -1.0),
        ("figures.answers.units", []),
        ("figures.answers.still", [6]),
        ("figures.accuracy.count", 5),
        ("figures.accuracy.correct", 7),
        ("figures.accuracy.interval.high", 1.5),
        ("figures.classes.0.agreeing", 7),
        ("figures.classes.0.interval.low", -1.0),
        ("figures.classes.0.adjusted_p", 1.5),
        ("data.count", 5),
        ("data.units", 7),
        ("data.near_duplicates", 7),
        ("worst.0.logit_deviation", -1.0),
        ("worst.0.margin", -1.0),
        ("noise_floor.repeat", -1.0),
        ("noise_floor.relative", -1.0),
        ("noise_floor.repeating.losing_p", 2.0),
        ("angles.figures.agreeing_images", 7),
        ("angles.figures.control_agreeing", 7),
        ("angles.figures.rotated_only", 7),
        ("angles.figures.control_interval.low", 2.0),
        ("angles.figures.classes.0.agreeing", 7),
        ("angles.figures.class_curves.0.agreeing.0", 7),
        ("angles.figures.images", 0),
        ("angles.figures.curve", []),
        ("angles.figures.curve.0.accuracy", None),
        ("angles.figures.curve.0.band.low", -1.0),
        ("angles.figures.curve.0.mean_deviation", -1.0),
        ("angles.figures.deviations.unmoved", 5),
        ("angles.figures.control_deviations.unmoved", 7),
        ("exhaustive_angles.constant_images", 6),
        ("exhaustive_angles.constant_interval.high", 1.5),
        ("angles.figures.curve.0.control_agreement", -1.0),
        ("angles.figures.worst", []),
        ("angles.figures.class_curves.0.images", 0),
        ("angles.figures.class_curves.0.agreeing", []),
    ],
)
def test_what_no_audit_says_is_refused(real: Report, place: str, value: Any) -> None:
    """Some of it failed as a page alone: over HTTP with 500, whenever the report was asked for."""
    document = json.loads(real.model_dump_json())
    path = tuple(int(part) if part.isdecimal() else part for part in place.split("."))
    _put(document, path, value)
    with pytest.raises(RefusedError, match=r"^It is no report of an audit ") as refusal:
        parse_report(document, "It")
    assert str(refusal.value).count("\n") == 0


@pytest.mark.parametrize("element", ["whole", "units", "r90"])
def test_an_element_of_any_name_changes_no_more_labels_than_there_are(
    real: Report, element: str
) -> None:
    document = json.loads(real.model_dump_json())
    for each in document["figures"]["elements"]:
        each["element"] = element
    assert parse_report(document, "It").figures.elements[0].element == element
    document["figures"]["elements"][0]["changed_labels"] = 7
    with pytest.raises(RefusedError, match="changed_labels is 7, of 6 in all"):
        parse_report(document, "It")


@pytest.mark.slow
@pytest.mark.parametrize("multi_label", [False, True])
def test_what_is_read_can_be_written(real: Report, multi_label: bool) -> None:
    model = real.model.model_copy(update={"multi_label": multi_label})
    document = json.loads(real.model_copy(update={"model": model}).model_dump_json())
    assert parse_report(document, "It").proof == real.proof
    refused = 0
    changed = ("label_sets", "worst") if multi_label else tuple(document)
    for path in [path for path in _paths(document) if path[0] in changed]:
        was = _get(document, path)
        for value in _others(was):
            _put(document, path, value)
            try:
                report = parse_report(document, "It")
            except RefusedError:
                refused += 1
                continue
            try:
                _write(report, real, compared=bool(_COMPARED & {*path[:2]}))
            except Exception as error:
                error.add_note(f"{'.'.join(map(str, path))}: {value!r}")
                raise
        _put(document, path, was)
    assert refused


def _write(report: Report, other: Report, *, compared: bool) -> None:
    for name, each in FORMATS.items():
        render(report, name, language="en" if each.translate is None else "de")
    points = [
        HistoryPoint.of(number, datetime.now(UTC), "ab" * 32, each)
        for number, each in enumerate((other, report), start=1)
    ]
    addresses = Addresses(lambda digest: digest, lambda first, second: first + second)
    render_history(History(model="m", points=tuple(points), faults=()), addresses)
    for sides in [(other, report), (report, other)] if compared else []:
        try:
            made = compare(*sides)
        except RefusedError:  # two that cannot be compared, as of other groups
            continue
        for comparison in COMPARISON_FORMATS.values():
            comparison.write(made, "en")


def _paths(value: Any, at: Path = ()) -> Iterator[Path]:
    """Yield where values are, of lists only the first."""
    inner = value.items() if isinstance(value, dict) else enumerate(value[:1])
    for key, each in inner:
        yield (*at, key)
        if isinstance(each, dict | list):
            yield from _paths(each, (*at, key))


def _others(value: Any) -> list[Any]:
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int | float):
        return [0, -1, 10**400, 1e300]
    if isinstance(value, str):
        return [""]
    if isinstance(value, list):
        return [[], value[:-1], value + value[-1:]]
    return [None] if isinstance(value, dict) else [0, "x"]


def _get(document: Any, path: Path) -> Any:
    for key in path:
        document = document[key]
    return document


def _put(document: Any, path: Path, value: Any) -> None:
    _get(document, path[:-1])[path[-1]] = value
