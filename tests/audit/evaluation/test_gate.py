"""`--at-least`: the whole interval is compared, so that a worse model seldom passes."""

import pytest
from scipy.stats import binom

from audit import clopper_pearson
from audit.evaluation import Asked, Rate
from audit.evaluation.gate import judge_accuracy


def verdict(count, total, at_least=0.95, confidence=0.95):
    interval = clopper_pearson(count, total, confidence)
    found = Rate(count=count, total=total, rate=count / total, interval=interval)
    return judge_accuracy(found, Asked(at_least=at_least, confidence=confidence))


def test_nothing_is_asked_and_nothing_answered():
    interval = clopper_pearson(1, 2, 0.95)
    assert judge_accuracy(Rate(count=1, total=2, rate=0.5, interval=interval), Asked()) is None


@pytest.mark.parametrize("total", [10, 73, 100, 1000])
@pytest.mark.parametrize("asked", [0.5, 0.9, 0.95])
def test_a_model_at_the_border_passes_and_fails_in_few_cases(total, asked):
    chance = {"PASS": 0.0, "FAIL": 0.0, "INCONCLUSIVE": 0.0}
    for count in range(total + 1):
        chance[verdict(count, total, asked).verdict] += binom.pmf(count, total, asked)
    assert chance["PASS"] <= 0.025
    assert chance["FAIL"] <= 0.025


def test_each_verdict_says_why():
    passed, failed, open_ = verdict(995, 1000), verdict(900, 1000), verdict(96, 100)
    assert passed.verdict == "PASS"
    assert (
        "995 of 1000 images get the right label: at 95% confidence at least 98.84%"
        in (passed.reasons[0])
    )
    assert failed.verdict == "FAIL"
    assert "at most 91.79% of all do, and 95.00% is asked." in failed.reasons[0]
    assert open_.verdict == "INCONCLUSIVE"
    assert "90.07% to 98.90% of all do" in open_.reasons[0]
    needed = int(open_.reasons[0].split("as of these, ")[1].split()[0])
    assert verdict(round(0.97 * needed), needed).verdict == "PASS"


def test_of_groups_more_groups_are_asked_for():
    interval = clopper_pearson(19, 20, 0.95)
    found = Rate(count=190, total=200, rate=0.95, interval=interval)
    (reason,) = judge_accuracy(found, Asked(at_least=0.9), 20).reasons
    assert "more than these 20 groups of images are needed" in reason
