"""From the tests of a comparison to its verdict, with the reasons in sentences."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final

from artifact.values import Verdict
from audit.comparison.record import ClassPaired, Margins, Paired, PairedDeviation
from audit.comparison.testing import Tested
from audit.phrases import level
from audit.statistics import Discordance, not_worse
from audit.values import Judgement

_SEVERITY: Final[tuple[Verdict, ...]] = ("PASS", "INCONCLUSIVE", "FAIL")
_MOST_UNITS: Final = 10**6


def judge_comparison(tested: Tested, margins: Margins, images: int, units: int) -> Judgement:
    """Weigh what was tested: the worst of all states, FAIL before INCONCLUSIVE before PASS.

    PASS asks for all of them, so that it is wrong at most as often as one of them alone would be.
    The reasons name everything that is as bad as the verdict, or all of it for a PASS.
    """
    said = [*_sentences(tested, margins, "images" if images == units else "units")]
    verdict = max((state for state, _ in said), key=_SEVERITY.index)
    order = sorted(said, key=lambda each: -_SEVERITY.index(each[0]))
    return Judgement(
        verdict, tuple(text for state, text in order if state != "PASS" or verdict == "PASS")
    )


def _sentences(tested: Tested, margins: Margins, unit: str) -> Iterator[tuple[Verdict, str]]:
    yield tested.kept.state, _of_all(tested.kept, "keep their label when turned", margins, unit)
    if tested.correct is not None:
        yield tested.correct.state, _of_all(tested.correct, "get the right label", margins, unit)
    held = f"keep their logits within {margins.logit_tolerance:.2g} of the largest"
    yield tested.steady.state, _of_all(tested.steady, held, margins, unit)
    yield tested.deviation.state, _of_deviation(tested.deviation, margins)
    if margins.class_margin is not None:
        yield _of_classes(tested.classes, margins.class_margin, margins, unit)


def _of_all(paired: Paired, what: str, margins: Margins, unit: str) -> str:
    counts = (
        f"{paired.baseline} of {paired.units} {unit} {what} with A and {paired.candidate} with B: "
        f"{paired.lost} with A alone, {paired.gained} with B alone"
    )
    most = f"at {level(margins.confidence)} {_at_most(paired)} fewer of all {unit} do with B"
    allowed = f"{100 * margins.margin:.6g}% is allowed"
    if paired.state == "PASS":
        worse = paired.worse_p < 1 - margins.confidence
        though = f"; that B is worse is shown too (p = {paired.worse_p:.2g})" if worse else ""
        return f"{counts}; {most}, and {allowed}{though}."
    if paired.state == "FAIL":
        return (
            f"{counts}, which is worse than chance explains (McNemar's exact test, p = "
            f"{paired.worse_p:.2g}, adjusted for all tests); {most}, and {allowed}."
        )
    return f"{counts}, which decides nothing: {most}, and {allowed}{_needed(paired, margins)}."


def _at_most(paired: Paired) -> str:
    return f"at most {max(0.0, -paired.interval.low):.2%}"


def _needed(paired: Paired, margins: Margins) -> str:
    needed = units_needed(margins.margin, margins.confidence)
    if paired.units >= needed:
        return ""
    return f"; {needed} are needed at least (--images FOLDER; labels are not needed)"


@lru_cache(maxsize=64)
def units_needed(margin: float, confidence: float) -> int:
    """How many units show that a model is within a margin, where none of them parts."""
    low, high = 0, 1
    while high < _MOST_UNITS and not_worse(Discordance(0, 0, high), margin) >= 1 - confidence:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        shown = not_worse(Discordance(0, 0, middle), margin) < 1 - confidence
        low, high = (low, middle) if shown else (middle, high)
    return high


def _of_deviation(deviation: PairedDeviation, margins: Margins) -> str:
    counts = (
        f"A logit moves by {deviation.baseline:.2g} of the largest on the average with A and by "
        f"{deviation.candidate:.2g} with B"
    )
    most = (
        f"at {level(margins.confidence)} by at most {max(0.0, deviation.interval.high):.2g} more, "
        f"and {margins.deviation_margin:.6g} is allowed"
    )
    if deviation.state == "PASS":
        return f"{counts}: {most}."
    if deviation.state == "FAIL":
        return f"{counts}, more than chance explains (p = {deviation.larger_p:.2g}): {most}."
    return f"{counts}, which decides nothing: {most}."


def _of_classes(
    classes: Sequence[ClassPaired], margin: float, margins: Margins, unit: str
) -> tuple[Verdict, str]:
    allowed = f"{100 * margin:.6g}% is allowed in each"
    measured = [
        (each.name, what, paired)
        for each in classes
        for what, paired in (("kept", each.kept), ("right", each.correct))
        if paired is not None
    ]
    failed = [entry for entry in measured if entry[2].state == "FAIL"]
    if failed:
        named = "; ".join(
            f"{name}: {p.lost} of {p.units} no longer {what}, {p.gained} newly"
            for name, what, p in failed
        )
        return "FAIL", f"Some classes are worse than chance explains (Holm): {named}; {allowed}."
    doubtful = [entry for entry in measured if entry[2].state == "INCONCLUSIVE"]
    if doubtful:
        named = "; ".join(
            f"{name} ({what}: {p.lost} of {p.units} lost, {p.gained} gained)"
            for name, what, p in doubtful
        )
        return "INCONCLUSIVE", (
            f"Some classes have too few {unit} to say whether they are worse: {named}; {allowed}, "
            f"and {units_needed(margin, margins.confidence)} of a class that part nowhere show it "
            "(--no-classes asks nothing of classes)."
        )
    return "PASS", f"No class is worse by more than what is allowed: {allowed}."
