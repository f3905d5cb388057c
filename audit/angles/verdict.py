"""From figures at angles to a verdict, and what it claims."""

from collections.abc import Iterator

from audit.angles.answers import AnglePlan
from audit.angles.outcome import AngleFigures, AngleSelfTest, AngleThresholds
from audit.moved import Moved
from audit.phrases import Naming, label, level, listed, percent, remedy, too_few, up_to
from audit.statistics import Cell, sign_test
from audit.values import Judgement
from audit.verdict import class_doubts, class_failures, monotony, unmoving


def judge_angles(
    figures: AngleFigures,
    plan: AnglePlan,
    thresholds: AngleThresholds,
    self_test: AngleSelfTest | None,
    moved: Moved | None = None,
    *,
    name: Naming = label,
) -> Judgement:
    """Weigh the part of images that keep their label at all angles against what is asked.

    `name` says what a class is called, and `moved` what the images that quarter and half turns
    change show by themselves, where some are others.

    INCONCLUSIVE where the audit sees symmetries broken where they hold, and where the resampler
    alone would fail or loses as many labels; a model that fails, with a clean control, fails
    whatever else is in doubt. At most 1 - confidence of all audits FAIL a model that should not:
    half of them over all images, half over classes.
    """
    interval, asked = figures.agreement_interval, thresholds.agreement
    doubts = tuple(_doubts(figures, plan, thresholds, self_test, name))
    if moved is not None:
        few = unmoving(
            moved,
            figures.images,
            interval,
            figures.classes,
            asked,
            thresholds.class_agreement,
            thresholds.confidence,
            name,
        )
        doubts = (*doubts, *_at_angles(few))
    if self_test is not None and (
        self_test.known_invariant == "FAIL" or not self_test.quarters_exact
    ):
        named = dict.fromkeys((_failed_self_test(self_test), *doubts))
        return Judgement("INCONCLUSIVE", tuple(named))
    if failures := tuple(_failures(figures, thresholds, name)):
        return Judgement("FAIL", (*failures, *doubts))
    if doubts:
        return Judgement("INCONCLUSIVE", doubts)
    return Judgement(
        "PASS",
        (
            f"{_kept(figures)}: at {level(thresholds.confidence)} at least "
            f"{percent(interval.low)} of all images do, and {percent(asked)} is asked.",
        ),
    )


def angle_claim(plan: AnglePlan) -> tuple[str, ...]:
    """What a verdict at sampled angles says, and what it does not."""
    chosen = (
        "the same for all images"
        if plan.seed is None
        else "starting at an offset that was drawn for each image"
    )
    return (
        f"The verdict at angles between the quarter turns speaks of {plan.count} angles, "
        f"{plan.step:.6g} degrees apart, {chosen}, of images rotated by {plan.resampler.method} "
        "interpolation, and of what lies in the largest disc inside of an image.",
        f"It says nothing of angles that were not tried: a change of label over less than "
        f"{plan.step:.6g} degrees can lie between two of them.",
        "It holds for images chosen as these were; it says nothing of other images, of the labels "
        "being right, or of a camera that is rotated instead of a picture that is computed.",
    )


def _failures(figures: AngleFigures, thresholds: AngleThresholds, name: Naming) -> Iterator[str]:
    interval, asked = figures.agreement_interval, thresholds.agreement
    if interval.high < asked and not _resampler_alone_fails(figures, thresholds):
        yield (
            f"{_kept(figures)}: at {level(thresholds.confidence)} at most "
            f"{up_to(interval.high, asked)} of all images do, and {percent(asked)} is asked. "
            "Interpolation alone does not explain it: rotated and rotated back, upright again, "
            f"{figures.control_agreeing} keep it."
        )
    yield from _at_angles(class_failures(figures.classes, thresholds.class_agreement, 1.0, name))


def _doubts(
    figures: AngleFigures,
    plan: AnglePlan,
    thresholds: AngleThresholds,
    self_test: AngleSelfTest | None,
    name: Naming,
) -> Iterator[str]:
    interval, asked = figures.agreement_interval, thresholds.agreement
    if self_test is not None and self_test.mutant != "FAIL":
        yield _failed_self_test(self_test)
    if _resampler_alone_fails(figures, thresholds):
        yield _resampler(figures, plan, asked)
    elif interval.low < asked <= interval.high:
        more = remedy(figures.agreeing_images, figures.images, asked, thresholds.confidence)
        yield (
            f"{too_few(figures.images)}: at {level(thresholds.confidence)} "
            f"{percent(interval.low, asked)} to {up_to(interval.high, asked)} of all images keep "
            f"their label at all angles, and {percent(asked)} is asked; {more}."
        )
    classes = [cell for cell in figures.classes if not _resampled(figures, cell, thresholds)]
    yield from _at_angles(
        class_doubts(classes, thresholds.class_agreement, thresholds.confidence, name)
    )
    if spoilt := [cell for cell in figures.classes if _resampled(figures, cell, thresholds)]:
        named = listed([f"{name(cell.label)} {cell.agreeing}/{cell.images}" for cell in spoilt])
        yield (
            f"Too few images of some classes keep their label at all angles ({named}), but too few "
            "do also when they are rotated and rotated back, upright again: there interpolation "
            "alone changes labels, and the model cannot be told from it."
        )
    yield from monotony(figures.chance_agreement, figures.images, asked, thresholds.confidence)


def _kept(figures: AngleFigures) -> str:
    return f"{figures.agreeing_images} of {figures.images} images keep their label at all angles"


def _resampler_alone_fails(figures: AngleFigures, thresholds: AngleThresholds) -> bool:
    """Whether too few keep their label, and not clearly more when they are rotated back."""
    asked = thresholds.agreement
    by_chance = sign_test(figures.rotated_only, figures.control_only)
    return figures.agreement_interval.high < asked and (
        figures.control_interval.high < asked or by_chance >= (1 - thresholds.confidence) / 2
    )


def _at_angles(sentences: Iterator[str]) -> Iterator[str]:
    """Tell sentences from those on the exact orbit, which are the same but for their figures."""
    return (f"At the sampled angles: {sentence}" for sentence in sentences)


def _resampled(figures: AngleFigures, cell: Cell, thresholds: AngleThresholds) -> bool:
    """Whether a class loses its labels, and not clearly more than to the resampler alone."""
    asked = thresholds.class_agreement
    if asked is None or cell.below or cell.interval.high >= asked:
        return False
    back = next((each for each in figures.control_classes if each.label == cell.label), None)
    return back is not None and back.agreeing < back.images and back.interval.low < asked


def _resampler(figures: AngleFigures, plan: AnglePlan, asked: float) -> str:
    return (
        f"{figures.agreeing_images} of {figures.images} images keep their label at all angles, but "
        f"rotated and rotated back, upright again, only {figures.control_agreeing} do, and "
        f"{percent(asked)} is asked: {plan.resampler.method} interpolation alone changes these "
        "labels, and the model cannot be told from it."
    )


def _failed_self_test(self_test: AngleSelfTest) -> str:
    if not self_test.quarters_exact:
        fault = "a picture rotated by 90 degrees was not the one whose pixels change places"
    elif self_test.mutant != "FAIL":
        fault = (
            "this model, made to answer otherwise where an image is brighter below than above, was "
            f"judged {self_test.mutant} instead of FAIL"
        )
    else:
        fault = "a simple model that no rotation changes was judged FAIL"
    return (
        f"The audit at angles failed its own test: {fault}, so that these images, rotated this "
        "way, show nothing."
    )
