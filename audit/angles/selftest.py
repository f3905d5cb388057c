"""Try the audit at angles on a model that must fail, on one that must not, and on the grid."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from artifact.values import Verdict
from audit.angles.answers import AnglePlan, ask_at_angles
from audit.angles.figures import angle_figures
from audit.angles.outcome import AngleSelfTest, AngleThresholds
from audit.angles.verdict import judge_angles
from audit.orbit import Classifier
from imaging import GridSymmetry, keep_disc, rotate_images

_IMAGES: Final = 16
_ANGLES: Final = 8
_APART: Final = 2.0


def self_test_angles(
    classify: Classifier,
    images: NDArray[np.uint8],
    plan: AnglePlan,
    thresholds: AngleThresholds,
    *,
    batch_size: int = 64,
) -> AngleSelfTest:
    """Audit the model with a sense of up and down, and a known model that is invariant.

    At most 16 images from all over the set are used, at 8 angles of the plan's kind.
    """
    few = images[_few(len(images))]
    tried = AnglePlan(_ANGLES, plan.resampler, plan.seed)

    def verdict(under_test: Classifier) -> Verdict:
        answers = ask_at_angles(under_test, few, tried, batch_size=batch_size)
        figures = angle_figures(answers, None, thresholds)
        return judge_angles(figures, tried, thresholds, None).verdict

    return AngleSelfTest(
        images=len(few),
        angles=_ANGLES,
        mutant=verdict(with_orientation_bias(classify)),
        known_invariant=verdict(brightness(keep_disc(few, plan.resampler.fill), resampled=True)),
        quarters_exact=_quarters_exact(few, plan),
    )


def angle_self_test_classifications(count: int) -> int:
    """How many images `self_test_angles` has classified, of so many."""
    return AnglePlan(_ANGLES).classifications(len(range(count)[_few(count)]))


def with_orientation_bias(classify: Classifier, axis: int = -2) -> Classifier:
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


def brightness(images: NDArray[np.uint8], *, resampled: bool = False) -> Classifier:
    """A known model that no rotation and no mirror image changes: is an image bright or dark?

    Its threshold lies in the widest gap between the mean grey levels of the images, in the middle
    half of them. Where they are resampled and the gap is less than two grey levels, which
    interpolation alone may move an image across, all images are bright.
    """
    levels = np.sort(images.mean(axis=(1, 2, 3), dtype=np.float64))
    middle = levels[len(levels) // 4 : max(2, -(-3 * len(levels) // 4))]
    gap = int(np.diff(middle).argmax()) if len(middle) > 1 else 0
    threshold = float(middle[gap : gap + 2].mean())
    if resampled and (len(middle) < 2 or middle[gap + 1] - middle[gap] < _APART):
        threshold = -1.0

    def answer(asked: NDArray[np.uint8]) -> NDArray[np.float32]:
        total = asked.sum(axis=(1, 2, 3), dtype=np.int64)  # exact in any order
        above = (total / asked[0].size - threshold) / 255
        return np.stack([-above, above], axis=1).astype(np.float32)

    return answer


def _few(count: int) -> slice:
    return slice(None, None, -(-count // _IMAGES))


def _quarters_exact(images: NDArray[np.uint8], plan: AnglePlan) -> bool:
    """Whether rotations commute with those of the grid: a centre that is off shows here."""
    quarter = GridSymmetry(False, 1)
    for degrees in (0.0, plan.step):
        rotated = rotate_images(images, degrees, plan.resampler)
        after = rotate_images(images, degrees + 90, plan.resampler)
        before = rotate_images(np.ascontiguousarray(quarter(images)), degrees, plan.resampler)
        if not (
            np.array_equal(after, quarter(rotated)) and np.array_equal(before, quarter(rotated))
        ):
            return False
    return True
