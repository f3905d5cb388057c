"""From figures at angles to a verdict, and what it claims."""

from collections.abc import Iterator

from audit.angles.answers import AnglePlan
from audit.angles.outcome import AngleFigures, AngleSelfTest, AngleThresholds
from audit.phrases import level, remedy
from audit.values import Judgement


def judge_angles(
    figures: AngleFigures,
    plan: AnglePlan,
    thresholds: AngleThresholds,
    self_test: AngleSelfTest | None,
) -> Judgement:
    """Weigh the part of images that keep their label at all angles against what is asked.

    INCONCLUSIVE after a failed self-test, and where the resampler alone would fail.
    """
    if self_test is not None and not self_test.passed:
        return Judgement("INCONCLUSIVE", (_broken_procedure(self_test),))
    interval, asked = figures.agreement_interval, thresholds.agreement
    kept = f"{figures.agreeing_images} of {figures.images} images keep their label at all angles"
    if interval.high < asked:
        if figures.control_interval.high < asked:
            return Judgement("INCONCLUSIVE", (_resampler(figures, plan, asked),))
        return Judgement(
            "FAIL",
            (
                f"{kept}: at {level(thresholds.confidence)} at most {interval.high:.2%} of "
                f"all images do, and {asked:.2%} is asked. Turned and turned back, "
                f"{figures.control_agreeing} keep it.",
            ),
        )
    if doubts := tuple(_doubts(figures, thresholds)):
        return Judgement("INCONCLUSIVE", doubts)
    return Judgement(
        "PASS",
        (
            f"{kept}: at {level(thresholds.confidence)} at least {interval.low:.2%} of all "
            f"images do, and {asked:.2%} is asked.",
        ),
    )


def angle_claim(plan: AnglePlan) -> tuple[str, ...]:
    """What a verdict at sampled angles says, and what it does not."""
    chosen = "the same for all images" if plan.seed is None else "from an offset of each image"
    return (
        f"It speaks of {plan.count} angles, {plan.step:.6g} degrees apart, {chosen}, of images "
        f"turned by {plan.resampler.method} interpolation, and of what lies in the disc.",
        f"A change of label over an arc shorter than {plan.step:.6g} degrees can lie between two "
        "angles: nothing is said of angles that were not tried.",
        "The interval is of images drawn as these were; it says nothing of other images, of the "
        "labels being right, or of a camera that turns instead of a resampler.",
    )


def _doubts(figures: AngleFigures, thresholds: AngleThresholds) -> Iterator[str]:
    interval, asked = figures.agreement_interval, thresholds.agreement
    if interval.low < asked:
        more = remedy(figures.agreeing_images, figures.images, asked, thresholds.confidence)
        yield (
            f"{figures.images} images are too few: at {level(thresholds.confidence)} "
            f"{interval.low:.2%} to {interval.high:.2%} of all images keep their label at all "
            f"angles, and {asked:.2%} is asked; {more}."
        )
    if figures.label_entropy == 0:
        yield "All images get the same label, so that their agreement at all angles says nothing."


def _resampler(figures: AngleFigures, plan: AnglePlan, asked: float) -> str:
    return (
        f"{figures.agreeing_images} of {figures.images} images keep their label at all angles, but "
        f"turned and turned back only {figures.control_agreeing} do, and {asked:.2%} is asked: "
        f"{plan.resampler.method} interpolation alone changes these labels, and the model cannot "
        "be told from it."
    )


def _broken_procedure(self_test: AngleSelfTest) -> str:
    if not self_test.quarters_exact:
        fault = "a turn by 90 degrees was not that of the pixel grid"
    elif self_test.mutant != "FAIL":
        fault = (
            "a model that answers otherwise where an image is heavier below than above was judged "
            f"{self_test.mutant} instead of FAIL"
        )
    else:
        fault = "the model averaged over turns was judged FAIL"
    return (
        f"The self-test at angles failed: {fault}, so that these images, turned this way, show "
        "nothing."
    )
