from typing import Any, get_args

import numpy as np
import pytest

from artifact.values import Precision
from audit import (
    Figures,
    Judgement,
    NoiseFloor,
    ProofSummary,
    SelfTest,
    Thresholds,
    clopper_pearson,
    judge,
)
from audit.elements import audited_elements
from audit.phrases import percent, up_to
from audit.proof import Proof
from audit.proof.outcome import Obstacle, Sensitive
from audit.report import Repeating
from audit.statistics import Cell, chance_agreement, class_cells, deviations
from audit.thresholds import LOGIT_TOLERANCE

PROVED = ProofSummary(outcome="PROVED", subgroup="C4", covers=True, reasons=("It is.",))
OTHER = PROVED.model_copy(update={"covers": False})
WITHIN = OTHER.model_copy(update={"outcome": "PROVED WITHIN"})

SOUND = SelfTest(images=32, mutant="FAIL", known_invariant="INCONCLUSIVE")


def judged(
    *,
    agreeing: int = 512,
    images: int = 512,
    deviation: float = 1e-6,
    floor: float = 0.0,
    entropy: float = 3.3,
    chance: float = 0.1,
    classes: tuple[Cell, ...] = (),
    repeating: Repeating | None = None,
    self_test: SelfTest | None = SOUND,
    proof: ProofSummary | None = None,
    **thresholds: Any,
) -> Judgement:
    asked = Thresholds(**thresholds)
    figures = Figures(
        images=images,
        agreeing_images=agreeing,
        label_agreement=agreeing / images,
        agreement_interval=clopper_pearson(agreeing, images, asked.confidence),
        max_logit_deviation=10 * deviation,
        relative_logit_deviation=deviation,
        max_probability_deviation=deviation,
        largest_logit=10,
        label_entropy=entropy,
        accuracy=None,
        elements=(),
        deviations=deviations(np.full(images, deviation), 1.0),
        chance_agreement=chance,
        classes=classes,
    )
    noise = NoiseFloor(repeat=0, regrouped=10 * floor, relative=floor, repeating=repeating)
    return judge(figures, noise, asked, self_test, proof)


def test_no_part_reads_as_what_it_is_not() -> None:
    """Rounded to two decimals, all of these would be 100.00 % or 99.00 %."""
    for made, words in (
        ({"agreeing": 100_000, "images": 100_000}, "at least 99.996% of all images do"),
        ({"agreeing": 1128, "images": 1147}, "at most 98.9998% of all images do, and 99.00%"),
        ({"agreeing": 2072, "images": 2084}, "98.996% to 99.70% of all images"),
    ):
        assert words in judged(**made).reasons[0]
    assert [percent(part) for part in (0, 1, 0.995, 1e-5)] == [
        "0.00%",
        "100.00%",
        "99.50%",
        "0.001%",
    ]
    assert up_to(0.99996) == "100.00%"


def test_the_verdict_table() -> None:
    for measured, verdict, words in [
        ({}, "PASS", ["512 of 512", "within the tolerance"]),
        ({"self_test": None}, "PASS", ["512 of 512", "within the tolerance"]),
        ({"deviation": 0, "logit_tolerance": 0}, "PASS", ["512 of 512", "within the tolerance"]),
        ({"deviation": 1e-4, "floor": 1e-4}, "PASS", ["512 of 512", "within the tolerance"]),
        ({"agreeing": 511}, "INCONCLUSIVE", ["too few"]),
        ({"images": 1, "agreeing": 1}, "INCONCLUSIVE", ["1 image is too few: at"]),
        ({"agreeing": 511, "agreement": 0.98}, "PASS", ["511 of 512", "within the tolerance"]),
        ({"agreeing": 400}, "FAIL", ["400 of 512"]),
        ({"deviation": 2e-4}, "FAIL", ["more than the tolerance"]),
        ({"deviation": 1e-9, "logit_tolerance": 0}, "FAIL", ["more than the tolerance"]),
        ({"agreeing": 400, "deviation": 0.1}, "FAIL", ["400 of 512", "more than the tolerance"]),
        ({"deviation": 0.1, "floor": 0.05}, "FAIL", ["more than the tolerance", "noise"]),
        ({"deviation": 0.1, "floor": 0.2}, "INCONCLUSIVE", ["noise"]),
        ({"floor": 2e-4}, "INCONCLUSIVE", ["noise"]),
        ({"agreeing": 400, "floor": 0.2}, "FAIL", ["400 of 512", "noise"]),
        ({"agreeing": 100, "images": 100}, "INCONCLUSIVE", ["too few"]),
        ({"chance": 1}, "INCONCLUSIVE", ["same label"]),
        ({"chance": 1, "deviation": 0.1}, "FAIL", ["more than the tolerance", "same label"]),
        (
            {"agreeing": 9, "images": 9, "chance": 1, "floor": 1},
            "INCONCLUSIVE",
            ["too few", "same label", "noise"],
        ),
    ]:
        judgement = judged(**measured)
        assert judgement.verdict == verdict
        assert len(judgement.reasons) == len(words)
        for reason, word in zip(judgement.reasons, words, strict=True):
            assert word in reason
            assert reason[0].isupper() or reason[0].isdigit()
            assert reason.endswith(".")


@pytest.mark.parametrize("measured", [{}, {"agreeing": 1, "deviation": 1}, {"chance": 1}])
def test_no_verdict_stands_on_false_alarms(measured: dict[str, Any]) -> None:
    judgement = judged(
        **measured, self_test=SelfTest(images=32, mutant="FAIL", known_invariant="FAIL")
    )
    assert judgement.verdict == "INCONCLUSIVE"
    assert "a simple model that no rotation changes was judged FAIL" in judgement.reasons[0]


@pytest.mark.parametrize("mutant", ["PASS", "INCONCLUSIVE"])
def test_images_that_show_no_broken_symmetry_hide_none_and_praise_none(mutant: Any) -> None:
    tested = SelfTest(images=32, mutant=mutant, known_invariant="INCONCLUSIVE")
    assert judged(agreeing=1, deviation=1, self_test=tested).verdict == "FAIL"
    judgement = judged(self_test=tested)
    assert judgement.verdict == "INCONCLUSIVE"
    assert f"(one weight changed), was judged {mutant}" in judgement.reasons[0]
    assert len(judged(self_test=tested, agreeing=100, images=100).reasons) == 2


def test_classes_are_part_of_the_verdict() -> None:
    kept = np.repeat([True, False], [440, 8])
    rare = class_cells(np.repeat([0, 1, 2], [140, 300, 8]), kept, 0.8, 0.95)
    lost = judged(agreeing=440, images=448, agreement=0.95, classes=rare)
    assert lost.verdict == "FAIL"
    assert "label 2 0/8" in lost.reasons[0]
    asked = {"agreement": 0.95, "class_agreement": None}
    assert judged(agreeing=440, images=448, classes=rare, **asked).verdict == "PASS"
    few = class_cells(np.repeat([0, 1], [496, 16]), np.ones(512, np.bool_), 0.8, 0.95)
    doubtful = judged(classes=few)
    assert doubtful.verdict == "INCONCLUSIVE"
    assert "label 1 16/16. 17 images of a class" in doubtful.reasons[0]
    enough = class_cells(np.repeat([0, 1], [495, 17]), np.ones(512, np.bool_), 0.8, 0.95)
    assert judged(classes=enough).verdict == "PASS"


@pytest.mark.parametrize(
    ("other", "verdict"), [(0, "INCONCLUSIVE"), (2, "INCONCLUSIVE"), (60, "PASS")]
)
def test_labels_that_chance_would_keep_show_little(other: int, verdict: str) -> None:
    labels = np.repeat([0, 1], [512 - other, other])
    assert judged(chance=chance_agreement(labels)).verdict == verdict


def test_what_does_not_repeat_itself_is_told_from_what_rotates() -> None:
    def repeating(kept: int, p: float, losing_p: float = 0.4) -> Repeating:
        return Repeating(
            agreeing_images=kept,
            agreement_interval=clopper_pearson(kept, 512, 0.95),
            exceeding_p=p,
            losing_p=losing_p,
        )

    noisy = judged(agreeing=400, deviation=0.3, floor=0.2, repeating=repeating(410, 0.4))
    assert noisy.verdict == "INCONCLUSIVE"
    assert any("does not repeat itself" in reason for reason in noisy.reasons)
    both = judged(agreeing=400, deviation=0.3, floor=0.2, repeating=repeating(410, 1e-9))
    assert both.verdict == "FAIL"
    assert judged(agreeing=1, floor=0.2, repeating=repeating(512, 0.4, 1e-9)).verdict == "FAIL"
    # Fewer than are asked, as may be by chance where asking again keeps hardly more.
    chance = judged(agreeing=490, floor=0.2, repeating=repeating(503, 0.4, 0.1))
    assert chance.verdict == "INCONCLUSIVE"
    rare = class_cells(np.repeat([0, 1], [504, 8]), np.repeat([True, False], [504, 8]), 0.8, 0.95)
    lost: dict[str, Any] = {"agreeing": 504, "agreement": 0.95, "floor": 0.2, "classes": rare}
    assert judged(**lost, repeating=repeating(504, 0.4)).verdict == "INCONCLUSIVE"
    assert judged(**lost, repeating=repeating(504, 1e-9)).verdict == "FAIL"


def test_too_few_images_are_told_how_many_would_do() -> None:
    assert "368 images settle it in 9 of 10 audits" in judged(agreeing=100, images=100).reasons[0]
    assert judged(agreeing=368, images=368).verdict == "PASS"
    assert "too near" in judged(agreeing=99, images=100).reasons[0]


@pytest.mark.parametrize(
    "threshold",
    [{"agreement": 1.0}, {"agreement": 0.0}, {"confidence": 1.0}, {"logit_tolerance": -1e-9}],
)
def test_thresholds_that_nothing_can_meet_are_refused(threshold: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(threshold))):
        Thresholds(**threshold)


FEW_OF_A_CLASS = class_cells(np.repeat([0, 1], [296, 4]), np.ones(300, np.bool_), 0.8, 0.95)


def test_a_proof_speaks_of_all_images_where_nothing_moved() -> None:
    for measured, verdict, word in [
        ({}, "PASS", "The file is proved"),
        ({"classes": FEW_OF_A_CLASS}, "PASS", "The file is proved"),
        ({"deviation": 1e-4}, "PASS", "The file is proved"),
        ({"proof": None}, "INCONCLUSIVE", "300 images are too few"),
        ({"proof": OTHER}, "INCONCLUSIVE", "300 images are too few"),
        ({"proof": WITHIN}, "INCONCLUSIVE", "300 images are too few"),
        ({"agreeing": 299}, "INCONCLUSIVE", "300 images are too few"),
        ({"images": 71, "agreeing": 71}, "INCONCLUSIVE", "72 different images"),
        ({"images": 1, "agreeing": 1}, "INCONCLUSIVE", "but 1 image is too few to show"),
        ({"images": 72, "agreeing": 72}, "PASS", "The file is proved"),
        ({"images": 30, "agreeing": 30, "agreement": 0.8}, "PASS", "The file is proved"),
        ({"chance": 1}, "INCONCLUSIVE", "same label"),
        ({"floor": 2e-4, "deviation": 2e-4}, "INCONCLUSIVE", "300 images are too few"),
        ({"floor": 2e-4}, "INCONCLUSIVE", "noise"),
        ({"deviation": 2e-4}, "FAIL", "more than the tolerance"),
        ({"agreeing": 200}, "FAIL", "200 of 300"),
    ]:
        judgement = judged(**{"images": 300, "agreeing": 300, "proof": PROVED, **measured})
        assert judgement.verdict == verdict
        assert word in judgement.reasons[0]
        unlike = "what runs it does not compute what the file says" in " ".join(judgement.reasons)
        assert unlike == (verdict == "FAIL")


def test_a_file_that_magnifies_last_bits_is_judged_by_its_images_alone() -> None:
    """Of 200 images that a Floor gives another label, 72 may show none."""
    found = Proof(
        outcome="PROVED",
        reasons=("It is.",),
        sha256="0" * 64,
        group="C4",
        subgroup="C4",
        generators=("r90",),
        arithmetic="float",
        holds_in=("real arithmetic",),
    )
    floor = Sensitive(node="f", op="Floor", effect="step")
    tried = audited_elements("C4")
    for update, exact, binds in [
        ({}, False, True),
        ({"steps": (floor,)}, False, False),
        ({"steps": (floor,)}, True, False),
        ({"steps": (floor,), "arithmetic": "repeated"}, False, False),
        ({"steps": (floor,), "arithmetic": "repeated"}, True, True),
        ({"disordered": Obstacle(node="m", op="Max", reason="may meet NaN")}, True, False),
        (
            {
                "steps": (floor.model_copy(update={"effect": "saturating"}),),
                "arithmetic": "quantised",
            },
            True,
            False,
        ),
    ]:
        proof = ProofSummary.of(found.model_copy(update=update), tried, runs_exactly=exact)
        assert proof.covers and proof.bounds_what_runs == binds
        assert (proof.quarters(1e-4) is not None) == binds
        judgement = judged(images=72, agreeing=72, proof=proof)
        assert judgement.verdict == ("PASS" if binds else "INCONCLUSIVE")
        failed = " ".join(judged(agreeing=200, proof=proof).reasons)
        assert ("does not compute what the file says" in failed) == binds
        assert ("magnifies" in proof.model_dump()) != binds  # earlier reports keep their digests


def test_a_proof_excuses_no_self_test_and_no_model_that_does_not_repeat_itself() -> None:
    blind = SelfTest(images=32, mutant="PASS", known_invariant="PASS")
    assert judged(proof=PROVED, self_test=blind).verdict == "INCONCLUSIVE"
    alarmed = SelfTest(images=32, mutant="FAIL", known_invariant="FAIL")
    assert judged(proof=PROVED, self_test=alarmed).verdict == "INCONCLUSIVE"
    kept = clopper_pearson(512, 512, 0.95)
    restless = Repeating(agreeing_images=512, agreement_interval=kept, exceeding_p=0.5)
    assert judged(proof=PROVED, repeating=restless).verdict == "INCONCLUSIVE"


def test_every_precision_has_a_tolerance() -> None:
    assert LOGIT_TOLERANCE.keys() == {*get_args(Precision)}
