"""A comparison is of the same images, in any order, and its verdict is hardly ever wrong."""

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from artifact.identity import ModelIdentity
from artifact.values import Verdict
from audit import Classifier, RefusedError, Report, run_audit
from audit.comparison import Comparison, Margins, compare
from audit.report import Answers, SelfTest
from audit.thresholds import Thresholds
from benchmarks import comparisons
from tests.audit.compared import CLASSES, Made, compared, losing, still

FIGURES = ("verdict", "kept", "correct", "steady", "deviation", "classes")


def figures(comparison: Comparison) -> Any:
    return json.loads(comparison.model_dump_json(include=set(FIGURES)))


@st.composite
def made(draw: st.DrawFn, count: int) -> Made:
    def drawn(values: st.SearchStrategy[Any]) -> list[Any]:
        return draw(st.lists(values, min_size=count, max_size=count))

    return Made(
        labels=drawn(st.integers(0, 2)),
        kept=drawn(st.booleans()),
        deviation=drawn(st.sampled_from((0.0, 1e-7, 0.01, 0.3))),
        expected=[n % 3 for n in range(count)],
        units=drawn(st.integers(0, count - 1)),
    )


# --- which images -----------------------------------------------------------------------------


@pytest.mark.slow
@given(st.data())
@settings(max_examples=8)
def test_the_order_of_images_is_nothing(data: st.DataObject) -> None:
    count = data.draw(st.integers(2, 9))
    first, second = data.draw(made(count)), data.draw(made(count))
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
    first, second = data.draw(made(count)), data.draw(made(count))
    some = sorted(data.draw(st.sets(st.integers(0, count - 1), min_size=1, max_size=count - 1)))
    part, other = first.taken(some), second.taken(some)
    right = compared(part, other)
    for wider in (compared(first, other), compared(part, second)):
        assert wider.matching.order == "subset"
        assert wider.matching.images == len(some)
        assert figures(wider) == figures(right)
        assert any("nothing is said of the others" in sentence for sentence in wider.claim)


def test_images_that_no_rotation_changes_show_nothing(
    images: NDArray[np.uint8], invariant: Classifier, model: ModelIdentity, thresholds: Thresholds
) -> None:
    turns = [np.rot90(images // 4, quarters, (2, 3)) for quarters in range(4)]
    same = np.sum(turns, axis=0, dtype=np.uint8)
    margins = Margins(class_margin=None)
    for moving in (400, 310, 20, 0):
        verdict = "PASS" if moving > 300 else "INCONCLUSIVE"
        shown = np.concatenate([images[:moving], same[moving:]])
        report = run_audit(
            invariant, shown, None, group="C4", thresholds=thresholds, model=model, source="stars"
        )
        written = json.loads(report.model_dump_json())["figures"]["answers"]
        assert written.get("still", []) == list(range(moving, 400))
        result = compare(report, report, margins)
        assert result.verdict == verdict
        assert ("are the same however" in result.reasons[0]) == (verdict != "PASS")


def test_a_huge_constant_logit_makes_no_changes_small(
    images: NDArray[np.uint8], invariant: Classifier, model: ModelIdentity, thresholds: Thresholds
) -> None:
    def moving(x: NDArray[np.uint8]) -> NDArray[np.float32]:
        heavier = x[:, :, :4].sum((1, 2, 3)) > x[:, :, 4:].sum((1, 2, 3))
        logits = 40 * np.eye(5)[invariant(x).argmax(axis=1)] + 20 * heavier[:, None]
        return np.insert(logits, 5, -1e6, axis=1).astype(np.float32)

    before, after = (
        run_audit(each, images, None, group="C4", thresholds=thresholds, model=model, source="s")
        for each in (invariant, moving)
    )
    result = compare(before, after, Margins(class_margin=None))
    assert result.verdict == "INCONCLUSIVE"
    assert result.reasons[0].startswith("The largest logit of B hardly varies")
    assert compare(before, before, Margins(class_margin=None)).verdict == "PASS"


def test_a_model_that_gives_one_label_is_shown_to_be_nothing() -> None:
    before = still(400, expected=None)
    one, rare = [0] * 400, [0] * 399 + [1]
    for labels in (one, rare):
        result = compared(before, replace(before, labels=labels), class_margin=None)
        assert result.verdict == "INCONCLUSIVE"
        assert result.reasons[0].startswith("Nearly all images get the same label with B")
    assert compared(replace(before, labels=one), before, class_margin=None).verdict == "PASS"
    lost = losing(replace(before, labels=one), *range(40))
    assert compared(before, lost, class_margin=None).verdict == "FAIL"


@pytest.mark.parametrize(
    ("mutant", "known", "verdict"),
    [
        ("FAIL", "INCONCLUSIVE", "PASS"),
        ("INCONCLUSIVE", "INCONCLUSIVE", "INCONCLUSIVE"),
        ("FAIL", "FAIL", "INCONCLUSIVE"),
    ],
)
def test_an_audit_that_failed_its_own_test_shows_nothing_of_b(
    mutant: Verdict, known: Verdict, verdict: Verdict
) -> None:
    made = still(400, expected=None).report()
    tried = SelfTest(images=32, mutant=mutant, known_invariant=known)
    after = made.model_copy(update={"self_test": tried})
    result = compare(made, after, Margins(class_margin=None))
    assert result.verdict == verdict
    assert ("failed its own test" in result.reasons[0]) == (verdict != "PASS")


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


def test_reports_that_disagree_on_an_image_are_refused() -> None:
    other = still(9, expected=[1, *still(9).labels[1:]])
    with pytest.raises(RefusedError, match="image 0 shows 'bolt' according to A and 'nut'"):
        compared(still(9), other)


# --- labels by their names --------------------------------------------------------------------


def test_classes_are_compared_by_name() -> None:
    """B has the same classes in another order: the same answers have other numbers."""
    places = [2, 0, 1]
    swapped = tuple(CLASSES[k] for k in np.argsort(places))
    other = still(9, classes=swapped, labels=[places[k] for k in still(9).labels])
    other = replace(other, expected=other.labels)
    result = compared(still(9), other)
    assert result.correct is not None
    assert (result.correct.lost, result.worse) == (0, ())
    assert {each.name for each in result.classes} == set(CLASSES)


def test_what_one_report_knows_of_images_serves_both() -> None:
    labels = still(9).labels
    wrong = still(9, expected=None, labels=[1, *labels[1:]])
    for result in (compared(still(9), wrong), compared(replace(still(9), expected=None), still(9))):
        assert result.correct is not None
    assert compared(still(9), wrong).correct.lost == 1  # type: ignore[union-attr]
    unknown = replace(still(9), expected=None)
    assert compared(unknown, unknown).correct is None


def test_what_got_worse_is_named_and_ranked() -> None:
    files = [f"parts/{n}.png" for n in range(9)]
    before = still(9, files=files)
    after = losing(before, 4)
    labels = [*after.labels]
    labels[7] = (labels[7] + 1) % 3
    moved = [*after.deviation]
    moved[1] = 0.2
    result = compared(before, replace(after, labels=labels, deviation=moved))
    wrong, lost, far = result.worse
    assert (wrong.name, wrong.became_wrong, wrong.lost_label) == ("parts/7.png", True, False)
    assert (wrong.expected, wrong.baseline_label, wrong.candidate_label) == ("nut", "nut", "washer")
    assert (lost.name, lost.became_wrong, lost.lost_label) == ("parts/4.png", False, True)
    assert (far.name, far.candidate_deviation) == ("parts/1.png", 0.2)


def test_pictures_are_those_of_images_at_hand_or_of_the_reports(
    plain: Any, images: Any, model: ModelIdentity
) -> None:
    def audited(classify: Any) -> Report:
        return run_audit(
            classify, images[:40], None, group="C4", thresholds=Thresholds(), model=model, source=""
        )

    def constant(some: Any) -> Any:
        return np.tile(np.array([2, 1, 0, 0, 0], np.float32), (len(some), 1))

    before, after = audited(constant), audited(plain)
    from_reports = compare(before, after).worse
    shown = {image.index for image in from_reports if image.png}
    assert shown == {worst.index for worst in after.worst} & {i.index for i in from_reports}
    assert all(image.rotated is not None for image in from_reports if image.index in shown)
    assert all(i.png for i in compare(before, after, images=images[:40]).worse[:24])
    hidden = compare(before, after, images=images[:40], pictures=False).worse
    assert not any(i.png or (i.rotated and i.rotated.png) for i in hidden)


# --- the verdict ------------------------------------------------------------------------------


@given(st.data())
@settings(max_examples=8)
def test_a_model_is_never_worse_than_itself(data: st.DataObject) -> None:
    same = data.draw(made(data.draw(st.integers(1, 9))))
    result = compared(same, same)
    assert result.verdict != "FAIL"
    assert (result.kept.lost, result.kept.gained, result.kept.worse_p) == (0, 0, 1)


@pytest.mark.slow
@given(st.data())
@settings(max_examples=8)
def test_exchanged_models_exchange_what_is_lost_and_gained(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 9))
    first, second = data.draw(made(count)), data.draw(made(count))
    here, there = compared(first, second), compared(second, first)
    assert (here.kept.lost, here.kept.gained) == (there.kept.gained, there.kept.lost)
    assert here.kept.mcnemar_p == there.kept.mcnemar_p
    assert here.kept.interval.low == -there.kept.interval.high


@pytest.mark.parametrize(
    ("lost", "verdict"), [(0, "PASS"), (1, "PASS"), (4, "INCONCLUSIVE"), (12, "FAIL")]
)
def test_the_verdict_is_that_of_the_margin(lost: int, verdict: str) -> None:
    before = still(512)
    result = compared(before, losing(before, *range(0, 3 * lost, 3)), class_margin=None)
    assert result.verdict == result.kept.state == verdict
    assert any(f"{512 - lost} with B" in reason for reason in result.reasons)


def test_few_images_decide_nothing_and_say_how_many_do() -> None:
    result = compared(still(100), still(100))
    assert result.verdict == "INCONCLUSIVE"
    assert any("301 are needed at least" in reason for reason in result.reasons)
    assert compared(still(301), still(301), class_margin=None).kept.state == "PASS"
    assert compared(still(300), still(300), class_margin=None).kept.state == "INCONCLUSIVE"


@pytest.mark.slow
def test_a_rare_class_that_is_lost_is_no_pass() -> None:
    """Five of 1000 are lost, within the margin of all; they are all that there is of a class."""
    labels = [2] * 5 + [0] * 995
    before = still(1000, labels=labels, expected=labels)
    after = losing(before, 0, 1, 2, 3, 4)
    result = compared(before, after, margin=0.02)
    assert result.kept.state == "PASS"
    assert result.verdict != "PASS"
    assert "washer" in " ".join(result.reasons)
    labels = [2] * 12 + [1] * 494 + [0] * 494
    twelve = losing(still(1000, labels=labels, expected=None), *range(12))
    before = replace(twelve, kept=[True] * 1000, deviation=[1e-7] * 1000)
    assert compared(before, twelve, margin=0.05).verdict == "FAIL"
    assert compared(before, twelve, margin=0.05, class_margin=None).verdict == "PASS"


def test_logits_that_move_more_on_the_average_are_worse() -> None:
    """Both models move beyond the tolerance, and keep all labels; B moves twice as far."""
    random = np.random.default_rng(3)
    before = still(400, deviation=(0.05 + 0.01 * random.random(400)).tolist())
    after = replace(before, deviation=(0.1 + 0.01 * random.random(400)).tolist())
    result = compared(before, after)
    assert result.steady.state == "PASS"
    assert (result.deviation.state, result.verdict) == ("FAIL", "FAIL")
    assert compared(before, after, deviation_margin=0.06).verdict == "PASS"


@pytest.mark.slow
def test_a_pass_says_so_where_it_is_worse_within_the_margin() -> None:
    before = still(4000)
    result = compared(before, losing(before, *range(0, 60, 3)), class_margin=None)
    assert result.verdict == "PASS"
    assert any("that B is worse is shown too" in reason for reason in result.reasons)


def test_equal_reports_give_equal_comparisons() -> None:
    before = still(60)
    after = losing(before, 3, 9)
    assert compared(before, after) == compared(before, after)
    whole = compared(before, after)
    assert Comparison.model_validate_json(whole.model_dump_json()) == whole


# --- how often it is wrong --------------------------------------------------------------------


AUDITS = 60


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.statistics.paired_means.RESAMPLES", 199)


@pytest.mark.slow
@pytest.mark.parametrize("simulation", comparisons.SIMULATIONS, ids=lambda s: s.name)
@pytest.mark.usefixtures("few_resamples")
def test_a_verdict_is_hardly_ever_wrong(simulation: comparisons.Simulation) -> None:
    wrong, error = comparisons.measure(simulation, AUDITS)
    assert wrong <= 0.05 + 3 * error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "mutant"),
    [
        ("not_worse", lambda pairs, margin: 0.0 if -pairs.difference < margin else 1.0),
        ("holm", lambda p_values: p_values / 2),
    ],
)
@pytest.mark.usefixtures("few_resamples")
def test_the_simulation_refuses_other_audits(
    name: str, mutant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that passes where the margin is not exceeded here; one that tests classes one by one."""
    monkeypatch.setattr(f"audit.comparison.testing.{name}", mutant)
    assert any(
        wrong > 0.05 + 3 * error
        for wrong, error in (comparisons.measure(each, AUDITS) for each in comparisons.SIMULATIONS)
    )


def test_margins_outside_of_what_they_may_be_are_refused() -> None:
    for name in ("margin", "class_margin", "confidence", "deviation_margin"):
        with pytest.raises(ValueError, match=name):
            Margins(**{name: 0})
