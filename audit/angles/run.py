"""The audit at sampled angles from end to end."""

import numpy as np
from numpy.typing import NDArray

from artifact.audit_set import AuditSet
from audit.angles.answers import AngleAnswers, AnglePlan, ask_at_angles
from audit.angles.figures import angle_figures
from audit.angles.outcome import AngleOutcome, AngleSampling, AngleThresholds, WorstAngle
from audit.angles.selftest import self_test_angles
from audit.angles.verdict import angle_claim, judge_angles
from audit.counterexample import COUNTEREXAMPLES, Counterexample, counterexample
from audit.moved import Moved, moved_images
from audit.orbit import Classifier, Progress
from audit.phrases import Naming, label
from audit.questions import Workers
from audit.units import Units, single_units
from imaging import grid_symmetries, keep_disc, rotate_images


def audit_angles(
    classify: Classifier,
    images: NDArray[np.uint8],
    labels: NDArray[np.int64] | None,
    *,
    plan: AnglePlan,
    thresholds: AngleThresholds,
    units: Units | None = None,
    name: Naming = label,
    pictures: bool = True,
    batch_size: int = 64,
    progress: Progress | None = None,
    workers: Workers | None = None,
) -> AngleOutcome:
    """Measure how far a classifier keeps its answers at angles between the quarter turns.

    Parameters
    ----------
    classify
        From uint8 [N, C, n, n] to logits float32 [N, K].
    images : uint8 [N, C, n, n]
    labels : int64 [N], or None
    plan
        The angles and the resampler.
    thresholds
        What is asked.
    name
        From a class index to what the class is called in a sentence.
    units, pictures, batch_size, progress, workers
        As for `run_audit`; the self-test is not in the progress, and no work for workers.

    Raises
    ------
    ValueError
        If the images, the labels or the classifier's answers are not as described.
    """
    AuditSet(images, labels)
    tested = self_test_angles(classify, images, plan, thresholds, batch_size=batch_size)
    answers = ask_at_angles(
        classify,
        images,
        plan,
        damped=True,
        batch_size=batch_size,
        progress=progress,
        workers=workers,
    )
    figures = angle_figures(answers, labels, thresholds, units)
    # An image of one colour, or a ring, stays what it is at every angle, and stripes upside down.
    moved = moved_images(keep_disc(images, plan.resampler.fill), grid_symmetries("C4"))
    judgement = judge_angles(
        figures,
        plan,
        thresholds,
        tested,
        None if moved.all() else _moved(answers, labels, units, moved),
        name=name,
    )
    return AngleOutcome(
        verdict=judgement.verdict,
        reasons=judgement.reasons,
        claim=angle_claim(plan),
        sampling=AngleSampling(
            count=plan.count,
            seed=plan.seed,
            method=plan.resampler.method,
            fill=plan.resampler.fill,
            longest_missed_interval=plan.step,
        ),
        thresholds=thresholds,
        figures=figures,
        counterexamples=tuple(
            _counterexample(images, answers, worst, plan, pictures=pictures)
            for worst in figures.worst[:COUNTEREXAMPLES]
        ),
        self_test=tested,
    )


def _moved(
    answers: AngleAnswers,
    labels: NDArray[np.int64] | None,
    units: Units | None,
    moved: NDArray[np.bool_],
) -> Moved:
    """Count the units of images that quarters change, bool [N], and those that keep a label."""
    units = units or single_units(len(moved))
    agrees = np.asarray(answers.agrees.all(axis=0))
    if not moved.any():
        return Moved(0, 0, {})
    classes = (answers.labels if labels is None else labels)[moved]
    shares = Units(units.of[moved]).split(classes)
    in_class = shares.first(classes), shares.all(agrees[moved])
    return Moved.of(moved, agrees, units, in_class, answers.labels)


def _counterexample(
    images: NDArray[np.uint8],
    answers: AngleAnswers,
    worst: WorstAngle,
    plan: AnglePlan,
    *,
    pictures: bool,
) -> Counterexample:
    n, resampler = worst.index, plan.resampler
    (a,) = np.flatnonzero(answers.degrees[:, n] == worst.degrees)[:1]
    image = images[n : n + 1]
    rotated = rotate_images(image, worst.degrees, resampler)
    return counterexample(
        keep_disc(image, resampler.fill)[0],
        keep_disc(rotated, resampler.fill)[0],
        answers.upright[n],
        answers.rotated[a, n],
        pictures=pictures,
    )
