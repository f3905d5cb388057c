from typing import Any

import numpy as np
import pytest

from audit import Figures, Judgement, NoiseFloor, SelfTest, Thresholds, clopper_pearson, judge
from audit.statistics import drift

SOUND = SelfTest(images=32, mutant="FAIL", twin="INCONCLUSIVE")


def judged(
    *,
    agreeing: int = 512,
    images: int = 512,
    deviation: float = 1e-6,
    floor: float = 0.0,
    entropy: float = 3.3,
    self_test: SelfTest | None = SOUND,
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
        drift=drift(np.full(images, deviation), 1.0),
    )
    noise = NoiseFloor(repeat=0, regrouped=10 * floor, relative=floor)
    return judge(figures, noise, asked, self_test)


@pytest.mark.parametrize(
    ("measured", "verdict", "words"),
    [
        ({}, "PASS", ["512 of 512", "within the tolerance"]),
        ({"self_test": None}, "PASS", ["512 of 512", "within the tolerance"]),
        ({"deviation": 0, "logit_tolerance": 0}, "PASS", ["512 of 512", "within the tolerance"]),
        ({"deviation": 1e-4, "floor": 1e-4}, "PASS", ["512 of 512", "within the tolerance"]),
        ({"agreeing": 511}, "INCONCLUSIVE", ["too few"]),
        ({"agreeing": 511, "agreement": 0.98}, "PASS", ["511 of 512", "within the tolerance"]),
        ({"agreeing": 400}, "FAIL", ["400 of 512"]),
        ({"deviation": 2e-4}, "FAIL", ["more than the tolerance"]),
        ({"deviation": 1e-9, "logit_tolerance": 0}, "FAIL", ["more than the tolerance"]),
        ({"agreeing": 400, "deviation": 0.1}, "FAIL", ["400 of 512", "more than the tolerance"]),
        ({"deviation": 0.1, "floor": 0.05}, "FAIL", ["more than the tolerance"]),
        ({"deviation": 0.1, "floor": 0.2}, "INCONCLUSIVE", ["noise"]),
        ({"floor": 2e-4}, "INCONCLUSIVE", ["noise"]),
        ({"agreeing": 400, "floor": 0.2}, "FAIL", ["400 of 512"]),
        ({"agreeing": 100, "images": 100}, "INCONCLUSIVE", ["too few"]),
        ({"entropy": 0}, "INCONCLUSIVE", ["same label"]),
        ({"entropy": 0, "deviation": 0.1}, "FAIL", ["more than the tolerance"]),
        (
            {"agreeing": 9, "images": 9, "entropy": 0, "floor": 1},
            "INCONCLUSIVE",
            ["too few", "same label", "noise"],
        ),
    ],
)
def test_the_verdict_table(measured: dict[str, Any], verdict: str, words: list[str]) -> None:
    judgement = judged(**measured)
    assert judgement.verdict == verdict
    assert len(judgement.reasons) == len(words)
    for reason, word in zip(judgement.reasons, words, strict=True):
        assert word in reason
        assert reason[0].isupper() or reason[0].isdigit()
        assert reason.endswith(".")


@pytest.mark.parametrize("measured", [{}, {"agreeing": 1, "deviation": 1}, {"entropy": 0}])
@pytest.mark.parametrize(
    ("mutant", "twin", "word"),
    [
        ("PASS", "PASS", "one weight changed, was judged PASS"),
        ("INCONCLUSIVE", "INCONCLUSIVE", "one weight changed, was judged INCONCLUSIVE"),
        ("FAIL", "FAIL", "averaged over the group"),
    ],
)
def test_no_verdict_stands_on_a_failed_self_test(
    measured: dict[str, Any], mutant: Any, twin: Any, word: str
) -> None:
    judgement = judged(**measured, self_test=SelfTest(images=32, mutant=mutant, twin=twin))
    assert judgement.verdict == "INCONCLUSIVE"
    assert len(judgement.reasons) == 1
    assert word in judgement.reasons[0]


def test_too_few_images_are_told_how_many_would_do() -> None:
    assert "368 images would settle it" in judged(agreeing=100, images=100).reasons[0]
    assert judged(agreeing=368, images=368).verdict == "PASS"
    assert "too near" in judged(agreeing=99, images=100).reasons[0]


@pytest.mark.parametrize(
    "threshold",
    [{"agreement": 1.0}, {"agreement": 0.0}, {"confidence": 1.0}, {"logit_tolerance": -1e-9}],
)
def test_thresholds_that_nothing_can_meet_are_refused(threshold: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(threshold))):
        Thresholds(**threshold)
