"""Try the procedure at angles on a model that must fail, on one that must not, and on the grid."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from audit.angles.answers import AnglePlan, ask_at_angles
from audit.angles.figures import angle_figures
from audit.angles.outcome import AngleSelfTest, AngleThresholds
from audit.angles.verdict import judge_angles
from audit.orbit import Classifier
from audit.values import Verdict
from imaging import GridSymmetry, Resampler, keep_disc, turn

# The twin asks the model once for every turn that it averages over.
_IMAGES: Final = 16
_ANGLES: Final = 8
_TURNS: Final = 12


def self_test_angles(
    classify: Classifier,
    images: NDArray[np.uint8],
    plan: AnglePlan,
    thresholds: AngleThresholds,
    *,
    batch_size: int = 64,
) -> AngleSelfTest:
    """Audit the model with a sense of up and down, and the model averaged over turns.

    At most 16 images from all over the set are used, at 8 angles of the plan's kind.
    """
    few = images[_few(len(images))]
    tried = AnglePlan(_ANGLES, plan.resampler, plan.seed)

    def verdict(subject: Classifier) -> Verdict:
        answers = ask_at_angles(subject, few, tried, batch_size=batch_size)
        figures = angle_figures(answers, None, thresholds)
        return judge_angles(figures, tried, thresholds, None).verdict

    return AngleSelfTest(
        images=len(few),
        angles=_ANGLES,
        mutant=verdict(with_compass(classify)),
        twin=verdict(averaged_over_turns(classify, plan.resampler)),
        quarters_exact=_quarters_exact(few, plan),
    )


def angle_self_test_questions(count: int) -> int:
    """How many images `self_test_angles` classifies, of so many: the twin asks for every turn."""
    few = len(range(count)[_few(count)])
    return (1 + _TURNS) * AnglePlan(_ANGLES).questions(few)


def with_compass(classify: Classifier, axis: int = -2) -> Classifier:
    """The model that answers with the next class where an image is heavier below than above.

    With the last axis: heavier on the right than on the left.
    """

    def answer(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        logits = classify(images)
        side = images.shape[axis]
        places = np.arange(side, dtype=np.int64) * 2 - (side - 1)
        moment = (images.sum(axis=(1, -3 - axis), dtype=np.int64) * places).sum(axis=1)
        return np.where(moment[:, None] > 0, np.roll(logits, 1, axis=1), logits)

    return answer


def averaged_over_turns(classify: Classifier, resampler: Resampler) -> Classifier:
    """The average of the model's logits over turns of the image."""

    def average(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        total = np.zeros(1)
        for degrees in 360 / _TURNS * np.arange(_TURNS):
            turned = keep_disc(turn(images, float(degrees), resampler), resampler.fill)
            total = total + classify(turned).astype(np.float64)
        return (total / _TURNS).astype(np.float32)

    return average


def _few(count: int) -> slice:
    return slice(None, None, -(-count // _IMAGES))


def _quarters_exact(images: NDArray[np.uint8], plan: AnglePlan) -> bool:
    """Whether turns commute with those of the grid: a centre that is off shows here."""
    quarter = GridSymmetry(False, 1)
    for degrees in (0.0, plan.step):
        turned = turn(images, degrees, plan.resampler)
        after = turn(images, degrees + 90, plan.resampler)
        before = turn(np.ascontiguousarray(quarter(images)), degrees, plan.resampler)
        if not (np.array_equal(after, quarter(turned)) and np.array_equal(before, quarter(turned))):
            return False
    return True
