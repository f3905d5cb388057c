"""From the tests of a comparison to its verdict, with the reasons in sentences."""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from artifact.values import Verdict
from audit.comparison.record import ClassPaired, Margins, Paired, PairedDeviation
from audit.comparison.testing import Tested
from audit.names import Names
from audit.phrases import label, level, listed, percent, up_to
from audit.report import Report
from audit.statistics import Discordance, chance_agreement, clopper_pearson, not_worse
from audit.units import Units
from audit.values import Judgement
from audit.verdict import MOVED, self_test_failed

_SEVERITY: Final[tuple[Verdict, ...]] = ("PASS", "INCONCLUSIVE", "FAIL")
_MOST_UNITS: Final = 10**6

Unit = Literal["images", "units"]


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


def judge_moved(judgement: Judgement, moved: Tested | None, images: int, still: int) -> Judgement:
    """Keep a PASS where the images that all rotations change show it without the others."""
    if moved is not None:
        of_all = {moved.kept.state, moved.steady.state, moved.deviation.state}
        if of_all | {each.kept.state for each in moved.classes} == {"PASS"}:
            return judgement
    return Judgement(
        "INCONCLUSIVE",
        (
            f"{still} of {images} images are the same, within 2 of 255 grey levels, after a "
            "rotation that was tried, and do not show what it does: "
            f"the other {images - still} alone do not show that B is within what is allowed.",
        ),
    )


def shows_little(
    candidate: Report,
    labels: Sequence[str],
    units: Units,
    margins: Margins,
    still: NDArray[np.bool_],
) -> Iterator[str]:
    """Say why what B does on these images would not tell it from a model that is worse.

    `labels` are those that B gives the images that were compared, of which some are `still` after a
    rotation, bool [N].
    """
    if candidate.figures.deviation_of_variation is not None:
        yield (
            "The largest logit of B hardly varies between images, so that the changes of its "
            "logits, which are relative to it, show little."
        )
    if self_test_failed(candidate.self_test, candidate.noise_floor):
        yield "The audit of B failed its own test, so that it shows little."
    numbers = np.unique(labels, return_inverse=True)[1].reshape(-1)
    yield from _monotony(numbers, units, margins, "images")
    if still.any() and not still.all():
        moved = np.flatnonzero(~still)
        yield from _monotony(numbers[moved], units.among(moved), margins, MOVED)


def _monotony(
    labels: NDArray[np.int64], units: Units, margins: Margins, which: str
) -> Iterator[str]:
    chance = chance_agreement(labels, units.weights)
    by_chance = clopper_pearson(round(chance * units.count), units.count, margins.confidence)
    if by_chance.high >= 1 - margins.margin:
        yield (
            f"Nearly all {which} get the same label with B: if it drew labels anew for rotated "
            f"images, it would keep {percent(chance)} of them, so that what it keeps says little."
        )


def _sentences(tested: Tested, margins: Margins, unit: Unit) -> Iterator[tuple[Verdict, str]]:
    yield tested.kept.state, _of_all(tested.kept, "keep their label when rotated", margins, unit)
    if tested.correct is not None:
        yield tested.correct.state, _of_all(tested.correct, "get the right label", margins, unit)
    held = f"keep their logits within {margins.logit_tolerance:.2g} of the largest"
    yield tested.steady.state, _of_all(tested.steady, held, margins, unit)
    yield tested.deviation.state, _of_deviation(tested.deviation, margins)
    if margins.class_margin is not None:
        named = _named(tested.classes)
        kept = [(name, each.kept) for name, each in zip(named, tested.classes, strict=True)]
        yield _of_classes(
            kept, "keep their label when rotated", margins.class_margin, margins, unit
        )
        right = [
            (name, each.correct)
            for name, each in zip(named, tested.classes, strict=True)
            if each.correct is not None
        ]
        if right:
            yield _of_classes(right, "get the right label", margins.class_margin, margins, unit)


def _named(classes: Sequence[ClassPaired]) -> list[str]:
    """Names of classes as a sentence has them: short and in quotes, or `label 3`."""
    short = Names.of([each.name for each in classes]).short
    return [
        name if name == label(each.label) else f"“{name or ''}”"
        for name, each in zip(short, classes, strict=True)
    ]


def _of_all(paired: Paired, what: str, margins: Margins, unit: Unit) -> str:
    counts = (
        f"{paired.baseline} of {paired.units} {unit} {what} with A and {paired.candidate} with B: "
        f"{paired.lost} with A alone, {paired.gained} with B alone"
    )
    fewer = up_to(max(0.0, -paired.interval.low), margins.margin)
    most = (
        f"at {level(margins.confidence)} at most {fewer} fewer of all {unit} do with B, and "
        f"{100 * margins.margin:.6g}% is allowed"
    )
    if paired.state == "PASS":
        if paired.worse_p < 1 - margins.confidence:
            return (
                f"{counts}, which is within what is allowed: {most}; that B is worse is shown too "
                f"(p = {paired.worse_p:.2g})."
            )
        return f"{counts}, which is within what is allowed: {most}."
    if paired.state == "FAIL":
        return (
            f"{counts}, which is worse than chance explains (McNemar's exact test, p = "
            f"{paired.worse_p:.2g}, adjusted for all tests): {most}."
        )
    needed = units_needed(margins.margin, margins.confidence)
    if paired.units >= needed:
        return f"{counts}, which decides nothing: {most}."
    return (
        f"{counts}, which decides nothing: {most}; {needed} are needed at least (--images FOLDER; "
        "labels are not needed)."
    )


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
        return f"{counts}, which is within what is allowed: {most}."
    if deviation.state == "FAIL":
        return f"{counts}, more than chance explains (p = {deviation.larger_p:.2g}): {most}."
    return f"{counts}, which decides nothing: {most}."


def _of_classes(
    classes: Sequence[tuple[str, Paired]], what: str, margin: float, margins: Margins, unit: Unit
) -> tuple[Verdict, str]:
    """Say whether any class does it less often; classes that do are named with what they lost."""
    allowed = f"{100 * margin:.6g}%"
    if failed := [each for each in classes if each[1].state == "FAIL"]:
        return "FAIL", (
            f"Some classes {what} less often than chance explains (Holm); lost with B, gained, and "
            f"{unit} of each: {_counted(failed)}; {allowed} is allowed in each class."
        )
    if doubtful := [each for each in classes if each[1].state == "INCONCLUSIVE"]:
        return "INCONCLUSIVE", (
            f"Some classes have too few {unit} to say whether they {what} less often; lost with B, "
            f"gained, and {unit} of each: {_counted(doubtful)}; {allowed} is allowed in each "
            f"class, and {units_needed(margin, margins.confidence)} of a class show it where none "
            "is lost (--no-classes asks nothing of classes)."
        )
    return "PASS", f"All classes {what} often enough: {allowed} less is allowed in each class."


def _counted(classes: Sequence[tuple[str, Paired]]) -> str:
    return listed([f"{name} -{p.lost} +{p.gained} /{p.units}" for name, p in classes])
