"""The verdict of a comparison: that of its margins, and none where nothing was shown."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from artifact.identity import ModelIdentity
from artifact.values import Verdict
from audit import Classifier, run_audit
from audit.comparison import Comparison, Margins, compare
from audit.report import SelfTest
from audit.thresholds import Thresholds
from tests.audit.compared import compared, drawn, losing, still


@given(st.data())
@settings(max_examples=8)
def test_a_model_is_never_worse_than_itself(data: st.DataObject) -> None:
    same = data.draw(drawn(data.draw(st.integers(1, 9))))
    result = compared(same, same)
    assert result.verdict != "FAIL"
    assert (result.kept.lost, result.kept.gained, result.kept.worse_p) == (0, 0, 1)


@pytest.mark.slow
@given(st.data())
@settings(max_examples=8)
def test_exchanged_models_exchange_what_is_lost_and_gained(data: st.DataObject) -> None:
    count = data.draw(st.integers(1, 9))
    first, second = data.draw(drawn(count)), data.draw(drawn(count))
    here, there = compared(first, second), compared(second, first)
    assert (here.kept.lost, here.kept.gained) == (there.kept.gained, there.kept.lost)
    assert here.kept.mcnemar_p == there.kept.mcnemar_p
    assert here.kept.interval.low == -there.kept.interval.high


def test_equal_reports_give_equal_comparisons() -> None:
    before = still(60)
    after = losing(before, 3, 9)
    assert compared(before, after) == compared(before, after)
    whole = compared(before, after)
    assert Comparison.model_validate_json(whole.model_dump_json()) == whole


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


def test_margins_outside_of_what_they_may_be_are_refused() -> None:
    for name in ("margin", "class_margin", "confidence", "deviation_margin"):
        with pytest.raises(ValueError, match=name):
            Margins(**{name: 0})


# --- what shows nothing of a model ------------------------------------------------------------


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
        assert ("are the same, within 2" in result.reasons[0]) == (verdict != "PASS")


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
