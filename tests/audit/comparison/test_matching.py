"""Which images of two reports are compared, and which reports cannot be."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from audit import RefusedError, Report
from audit.comparison import Comparison, compare
from audit.report import Answers
from tests.audit.compared import compared, drawn, losing, still

FIGURES = ("verdict", "kept", "correct", "steady", "deviation", "classes")


def figures(comparison: Comparison) -> Any:
    return json.loads(comparison.model_dump_json(include=set(FIGURES)))


@pytest.mark.slow
@given(st.data())
@settings(max_examples=8)
def test_the_order_of_images_is_nothing(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 9))
    first, second = data.draw(drawn(count)), data.draw(drawn(count))
    order = data.draw(st.permutations(range(count)))
    here, there = compared(first, second), compared(first, second.taken(order))
    assert figures(here) == figures(there)
    assert {image.name for image in here.worse} == {image.name for image in there.worse}
    if list(order) != list(range(count)):
        assert there.matching.order == "another"
        assert any("in another order" in sentence for sentence in there.claim)


@pytest.mark.slow
@given(st.data())
@settings(max_examples=8)
def test_of_more_images_those_count_that_both_have(data: st.DataObject) -> None:
    count = data.draw(st.integers(3, 9))
    first, second = data.draw(drawn(count)), data.draw(drawn(count))
    some = sorted(data.draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=count - 1)))
    part, other = first.taken(some), second.taken(some)
    right = compared(part, other)
    for wider in (compared(first, other), compared(part, second)):
        assert wider.matching.order == "subset"
        assert wider.matching.images == len(some)
        assert figures(wider) == figures(right)
        assert any("nothing is said of the others" in sentence for sentence in wider.claim)


def test_an_image_that_comes_twice_is_matched_twice() -> None:
    twice = still(4, images=[5, 6, 5, 7], units=[0, 1, 0, 2])
    result = compared(twice, twice.taken([2, 3, 1, 0]))
    assert (result.matching.images, result.matching.units) == (4, 3)


def test_other_images_are_refused_with_their_numbers() -> None:
    here = still(4)
    with pytest.raises(RefusedError, match="of 4 and 4 images, both have 2"):
        compared(here, replace(here, images=[0, 1, 8, 9]))


def test_units_of_either_report_are_joined() -> None:
    first = still(6, units=[0, 0, 1, 2, 3, 4])
    second = still(6, units=[0, 1, 1, 2, 3, 3])
    matching = compared(first, second).matching
    assert matching.units == 3  # 0, 1 and 2 by way of each other; 3; 4 and 5


def test_a_unit_does_what_all_of_its_images_do() -> None:
    units = [n // 2 for n in range(12)]
    result = compared(still(12, units=units), losing(still(12, units=units), 3, 8))
    assert (result.kept.units, result.kept.baseline, result.kept.lost) == (6, 6, 2)


def test_a_part_with_images_of_two_classes_counts_in_both() -> None:
    parts = 1000
    labels, units = [0] * parts + [1] * 40, [*range(parts), *range(40)]
    before = still(parts + 40, labels=labels, expected=labels, units=units)
    backs = range(parts, parts + 40)
    result = compared(before, losing(before, *backs), margin=0.1, deviation_margin=0.1)
    fronts, others = result.classes
    assert (fronts.kept.lost, fronts.kept.units) == (0, parts)
    assert (others.kept.lost, others.kept.units, others.kept.state) == (40, 40, "FAIL")
    assert result.verdict == "FAIL"


# --- what is refused --------------------------------------------------------------------------


def without_answers(report: Report) -> Report:
    figures = report.figures.model_copy(update={"answers": None})
    return report.model_copy(update={"figures": figures})


def torn(report: Report) -> Report:
    answers = report.figures.answers
    assert answers is not None
    short = answers.model_copy(update={"labels": answers.labels[:-1]})
    return report.model_copy(
        update={"figures": report.figures.model_copy(update={"answers": short})}
    )


def forged(report: Report) -> Report:
    """Its figures say something else than its images do."""
    answers = report.figures.answers
    assert answers is not None
    better = answers.model_copy(update={"kept": (True,) * len(answers.kept)})
    return report.model_copy(
        update={"figures": report.figures.model_copy(update={"answers": better})}
    )


def without_images(report: Report) -> Report:
    nothing = Answers(labels=(), expected=None, kept=(), deviation=(), units=())
    figures = report.figures.model_copy(update={"answers": nothing, "agreeing_images": 0})
    data = report.data.model_copy(update={"image_sha256": (), "count": 0})
    return report.model_copy(update={"figures": figures, "data": data})


def with_a_name_too_few(report: Report) -> Report:
    files = ("a.png",) * (len(report.data.image_sha256) - 1)
    return report.model_copy(update={"data": report.data.model_copy(update={"files": files})})


def of_other_turns(report: Report) -> Report:
    fewer = report.figures.model_copy(update={"elements": report.figures.elements[:1]})
    return report.model_copy(update={"figures": fewer})


@pytest.mark.parametrize(
    ("broken", "sentence"),
    [
        (without_answers, "before reports held what became of each image"),
        (torn, "contradicts itself"),
        (without_images, "contradicts itself"),
        (with_a_name_too_few, "contradicts itself"),
        (forged, "contradicts itself"),
        (of_other_turns, "same rotations are accepted"),
    ],
)
def test_reports_that_cannot_be_compared_are_refused(
    broken: Callable[[Report], Report], sentence: str
) -> None:
    report = losing(still(9), 2).report()
    for sides in ((report, broken(report)), (broken(report), report)):
        with pytest.raises(RefusedError, match=sentence) as refused:
            compare(*sides)
        assert str(refused.value).count(". ") == 0
