"""From figures and thresholds to PASS, FAIL or INCONCLUSIVE, with the reasons in sentences."""

from collections.abc import Iterator

from audit.phrases import level, remedy
from audit.report import Figures, NoiseFloor, SelfTest, Thresholds
from audit.values import Judgement


def judge(
    figures: Figures, floor: NoiseFloor, thresholds: Thresholds, self_test: SelfTest | None
) -> Judgement:
    """Weigh what was measured.

    A failed self-test makes everything else worthless: INCONCLUSIVE. Otherwise evidence against
    invariance gives FAIL; a doubt gives INCONCLUSIVE; and neither gives PASS.
    """
    if self_test is not None and not self_test.passed:
        return Judgement("INCONCLUSIVE", (_broken_procedure(self_test),))
    if failures := tuple(_failures(figures, floor, thresholds)):
        return Judgement("FAIL", failures)
    if doubts := tuple(_doubts(figures, floor, thresholds)):
        return Judgement("INCONCLUSIVE", doubts)
    return Judgement("PASS", _assurances(figures, thresholds))


def orbit_claim(elements: int) -> tuple[str, str]:
    """What a verdict on the exact orbit says, and what it does not."""
    return (
        f"It speaks of the {elements} turns and mirror images that move the pixel grid onto "
        "itself, of images drawn as these were, and of the file as it ran here.",
        "It says nothing of angles between them, of other images, or of the labels being right.",
    )


def _failures(figures: Figures, floor: NoiseFloor, thresholds: Thresholds) -> Iterator[str]:
    if figures.agreement_interval.high < thresholds.agreement:
        yield (
            f"{_agreement(figures)}: at {level(thresholds.confidence)} at most "
            f"{figures.agreement_interval.high:.2%} of all images do, and "
            f"{thresholds.agreement:.2%} is asked."
        )
    if figures.relative_logit_deviation > max(thresholds.logit_tolerance, floor.relative):
        yield (
            f"{_deviation(figures)}, more than the tolerance of {thresholds.logit_tolerance:.2g} "
            f"and than the noise floor of {floor.relative:.2g}."
        )


def _doubts(figures: Figures, floor: NoiseFloor, thresholds: Thresholds) -> Iterator[str]:
    interval = figures.agreement_interval
    if interval.low < thresholds.agreement:
        asked, confidence = thresholds.agreement, thresholds.confidence
        more = remedy(figures.agreeing_images, figures.images, asked, confidence)
        yield (
            f"{figures.images} images are too few: at {level(thresholds.confidence)} "
            f"{interval.low:.2%} to {interval.high:.2%} of all images keep their label, and "
            f"{thresholds.agreement:.2%} is asked; {more}."
        )
    if figures.label_entropy == 0:
        yield "All images get the same label, so that their agreement says nothing."
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


def _broken_procedure(self_test: SelfTest) -> str:
    if self_test.mutant != "FAIL":
        return (
            f"The self-test failed: the model, {self_test.mutation}, was judged "
            f"{self_test.mutant} instead of FAIL, so that these images would not show a broken "
            "symmetry."
        )
    return (
        "The self-test failed: the model averaged over the group, which is invariant, was judged "
        "FAIL, so that this procedure sees symmetries broken where they hold."
    )


def _agreement(figures: Figures) -> str:
    return f"{figures.agreeing_images} of {figures.images} images keep their label on their orbit"


def _deviation(figures: Figures) -> str:
    return f"A logit changes by up to {figures.relative_logit_deviation:.2g} of the largest logit"
