"""From figures and thresholds to PASS, FAIL or INCONCLUSIVE, with the reasons in sentences."""

import math
from collections.abc import Iterator, Sequence

from audit.phrases import level, remedy
from audit.report import Figures, NoiseFloor, SelfTest, Thresholds
from audit.statistics import Cell, clopper_pearson
from audit.subject import DataIdentity
from audit.values import Judgement
from imaging import GridSymmetry


def judge(
    figures: Figures, floor: NoiseFloor, thresholds: Thresholds, self_test: SelfTest | None
) -> Judgement:
    """Weigh what was measured.

    A procedure that sees symmetries broken where they hold says nothing: INCONCLUSIVE. Otherwise
    evidence against invariance gives FAIL, whatever else is in doubt; a doubt, or images that would
    not show a broken symmetry, give INCONCLUSIVE; and neither gives PASS.
    """
    if self_test is not None and self_test.twin == "FAIL":
        return Judgement("INCONCLUSIVE", (_FALSE_ALARM,))
    if failures := tuple(_failures(figures, floor, thresholds)):
        return Judgement("FAIL", failures)
    doubts = [*_doubts(figures, floor, thresholds)]
    if self_test is not None and self_test.mutant != "FAIL":
        doubts.insert(0, _unseen(self_test))
    if doubts:
        return Judgement("INCONCLUSIVE", tuple(doubts))
    return Judgement("PASS", _assurances(figures, thresholds))


def orbit_claim(elements: Sequence[GridSymmetry]) -> tuple[str, str]:
    """What a verdict on the exact orbit says, and what it does not."""
    tried = ", ".join(element.name for element in elements[1:])
    return (
        f"It speaks of the elements that were tried ({tried}), which move the pixel grid onto "
        "itself, of images drawn as these were, and of the file as it ran here.",
        "It says nothing of angles between them, of other images, or of the labels being right.",
    )


def counted(data: DataIdentity) -> Iterator[str]:
    """Say what the images count as, where that is not one each."""
    if data.units is not None and data.units < data.count:
        yield (
            f"The {data.count} images count as {data.units}: those that are equal up to a turn "
            "that was tried, or that were taken of one thing, count once together."
        )
    if data.near_duplicates:
        yield (
            f"{data.near_duplicates} images differ from another one by at most 2 of 255 grey "
            "levels on the average, and count all the same: if they show one thing, --group-by "
            "says so."
        )


def _failures(figures: Figures, floor: NoiseFloor, thresholds: Thresholds) -> Iterator[str]:
    kept = 1.0 if floor.repeating is None else floor.repeating.agreement_interval.high
    if figures.agreement_interval.high < thresholds.agreement <= kept:
        yield (
            f"{_agreement(figures)}: at {level(thresholds.confidence)} at most "
            f"{figures.agreement_interval.high:.2%} of all images do, and "
            f"{thresholds.agreement:.2%} is asked."
        )
    noisy = floor.repeating is not None and floor.repeating.exceeding_p >= 1 - thresholds.confidence
    if not noisy:  # what a class loses without a turn is not the turn's doing
        yield from class_failures(figures.classes, thresholds.class_agreement, kept)
    tolerated = max(thresholds.logit_tolerance, floor.relative)
    if figures.relative_logit_deviation > tolerated and not noisy:
        yield (
            f"{_deviation(figures)}, more than the tolerance of {thresholds.logit_tolerance:.2g} "
            f"and than the noise floor of {floor.relative:.2g}."
        )


def _doubts(figures: Figures, floor: NoiseFloor, thresholds: Thresholds) -> Iterator[str]:
    interval, asked, confidence = (
        figures.agreement_interval,
        thresholds.agreement,
        thresholds.confidence,
    )
    if interval.low < asked:
        more = remedy(figures.agreeing_images, figures.images, asked, confidence)
        yield (
            f"{figures.images} images are too few: at {level(thresholds.confidence)} "
            f"{interval.low:.2%} to {interval.high:.2%} of all images keep their label, and "
            f"{thresholds.agreement:.2%} is asked; {more}."
        )
    yield from class_doubts(figures.classes, thresholds.class_agreement, thresholds.confidence)
    yield from monotony(figures.chance_agreement, figures.images, asked, thresholds.confidence)
    if floor.repeating is not None:
        yield (
            "The model does not repeat itself: asked again about the same images, "
            f"{figures.images - floor.repeating.agreeing_images} of {figures.images} change their "
            f"label and a logit changes by up to {floor.relative:.2g} of the largest logit."
        )
    if floor.relative > thresholds.logit_tolerance:
        yield (
            "Without any turn, run again or otherwise, a logit changes by "
            f"{floor.relative:.2g} of the largest logit: this noise is above the tolerance of "
            f"{thresholds.logit_tolerance:.2g}, so that nothing finer can be measured."
        )


def _assurances(figures: Figures, thresholds: Thresholds) -> tuple[str, str]:
    return (
        f"{_agreement(figures)}: at {level(thresholds.confidence)} at least "
        f"{figures.agreement_interval.low:.2%} of all images do, and {thresholds.agreement:.2%} "
        "is asked.",
        f"{_deviation(figures)}, within the tolerance of {thresholds.logit_tolerance:.2g}.",
    )


def class_failures(classes: Sequence[Cell], asked: float | None, kept: float) -> Iterator[str]:
    """Name the classes that lose their labels; `kept` is at most what asking again keeps."""
    below = [cell for cell in classes if cell.below]
    if asked is None or not below or kept < asked:
        return
    named = "; ".join(f"{cell.agreeing} of {cell.images} of label {cell.label}" for cell in below)
    yield f"Too few images of some classes keep their label: {named}; {asked:.2%} is asked of each."


def class_doubts(classes: Sequence[Cell], asked: float | None, confidence: float) -> Iterator[str]:
    """Name the classes that have too few images to say whether they keep their labels."""
    few = [cell for cell in classes if not cell.below and asked and cell.interval.low < asked]
    if asked is None or not few:
        return
    needed = math.ceil(math.log((1 - confidence) / 2) / math.log(asked))
    named = "; ".join(f"label {cell.label} has {cell.images}" for cell in few)
    yield (
        f"Some classes have too few images to show that {asked:.2%} keep their label: {named}; "
        f"{needed} of a class that all keep it would (--no-classes asks nothing of classes)."
    )


def monotony(chance: float, images: int, asked: float, confidence: float) -> Iterator[str]:
    """Say so where these labels would be kept by a model that drew them anew for every turn."""
    if chance == 1:
        yield "All images get the same label, so that their agreement says nothing."
    elif clopper_pearson(round(chance * images), images, confidence).high >= asked:
        yield (
            f"Nearly all images get the same label: a model that drew labels anew for turned "
            f"images would keep {chance:.2%} of them, so that their agreement says little."
        )


_FALSE_ALARM = (
    "The self-test failed: a known model that is invariant was judged FAIL, so that this procedure "
    "sees symmetries broken where they hold."
)


def _unseen(self_test: SelfTest) -> str:
    return (
        f"The self-test failed: the model, {self_test.mutation}, was judged {self_test.mutant} "
        "instead of FAIL, so that these images would not show a broken symmetry."
    )


def _agreement(figures: Figures) -> str:
    return f"{figures.agreeing_images} of {figures.images} images keep their label on their orbit"


def _deviation(figures: Figures) -> str:
    return f"A logit changes by up to {figures.relative_logit_deviation:.2g} of the largest logit"
