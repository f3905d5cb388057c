"""Both parts' own figures and verdicts, on answers that say what a sample says."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audit.angles import AnglePlan, AngleThresholds
from audit.angles.answers import AngleAnswers
from audit.angles.figures import angle_figures
from audit.angles.verdict import judge_angles
from audit.figures import noise_floor, orbit_figures
from audit.orbit import Orbit
from audit.thresholds import Thresholds
from audit.values import Judgement
from audit.verdict import judge
from benchmarks.coverage.samples import ELEMENTS, Sample

PLAN: Final = AnglePlan(8)

Judge = Callable[[Sample, float, float | None], Judgement]
"""From a sample, the agreement that is asked of all and that of each class."""


@dataclass(frozen=True)
class AuditPart:
    """A part, what it asks by default, and as few images as reach PASS if all keep their label."""

    name: str
    asked: float
    fewest: int
    judge: Judge


def judge_rotations(sample: Sample, agreement: float, class_agreement: float | None) -> Judgement:
    """The verdict under quarter turns, where a lost label is lost by less than is tolerated."""
    asked = Thresholds(agreement=agreement, class_agreement=class_agreement)
    moments = len(ELEMENTS)
    orbit = Orbit(ELEMENTS, _answers(sample.labels, sample.kept, moments), 0.0, 0.0)
    labels = sample.labels if sample.told else None
    figures = orbit_figures(orbit, labels, asked, sample.units)
    return judge(figures, noise_floor(orbit, asked.confidence, sample.units), asked, None)


def judge_at_angles(sample: Sample, agreement: float, class_agreement: float | None) -> Judgement:
    """The verdict at sampled angles."""
    asked = AngleThresholds(agreement=agreement, class_agreement=class_agreement)
    rotated = _answers(sample.labels, sample.kept, PLAN.count)
    back = _answers(sample.labels, sample.control, PLAN.count)
    degrees = PLAN.degrees(len(sample.labels))
    answers = AngleAnswers(degrees, rotated[0], rotated[0], rotated, back)
    labels = sample.labels if sample.told else None
    figures = angle_figures(answers, labels, asked, sample.units)
    return judge_angles(figures, PLAN, asked, None)


TURNS: Final = AuditPart("quarter turns", 0.99, 368, judge_rotations)
ANGLES: Final = AuditPart("angles", 0.95, 72, judge_at_angles)


def _answers(
    labels: NDArray[np.int64], kept: NDArray[np.bool_], moments: int
) -> NDArray[np.float32]:
    """Logits [moments, N, K] whose first are upright; a label is lost at one of the others.

    They vary from image to image by much more than what a lost label changes.
    """
    images = np.arange(len(labels))
    classes = max(int(labels.max()) + 1, 2)
    logits = np.empty((moments, len(labels), classes), np.float32)
    logits[:] = np.linspace(-1, 1, len(labels), dtype=np.float32)[:, None]
    logits[:, images, labels] += np.float32(1e-5)
    lost = images[~kept]
    logits[1 + lost % (moments - 1), lost, (labels[lost] + 1) % classes] += np.float32(2e-5)
    return logits
