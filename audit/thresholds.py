"""What is asked of a model, and what is asked of each precision where nobody says."""

from collections.abc import Mapping
from typing import Final, Self

from artifact.values import Precision, Value
from audit.values import CLASS_AGREEMENT, Proportion, Tolerance

LOGIT_TOLERANCE: Final[Mapping[Precision, float]] = {
    "fp32": 1e-4,
    "fp16": 1e-2,
    "int8": 0.0,
    "integer": 0.0,
    "qdq": 0.0,
}
"""How far a logit may move, relative to the largest one, where nothing else is asked.

A rotated image makes float32 sums run in another order, which moves them by about 1e-6, and float16
sums by about 1e-3; integer sums do not move at all. What is not invariant moves by 1e-2 and more in
float32. The defaults lie between.
"""


class Thresholds(Value):
    """What is asked of a model.

    Attributes
    ----------
    agreement
        The part of all images that must keep their label on their whole orbit.
    class_agreement
        The part that must in every class; None asks nothing of classes.
    proved_agreement
        The part of all images that must be shown to keep their label in what runs, where the file
        is proved to keep that of every image.
    confidence
        Of the interval of that part.
    logit_tolerance
        How far a logit may move, relative to the largest logit; see `LOGIT_TOLERANCE`.
    """

    agreement: Proportion = 0.99
    confidence: Proportion = 0.95
    logit_tolerance: Tolerance = LOGIT_TOLERANCE["fp32"]
    class_agreement: Proportion | None = CLASS_AGREEMENT
    proved_agreement: Proportion = 0.95

    @classmethod
    def of(cls, precision: Precision, **asked: float | None) -> Self:
        """Return the thresholds for a model of this precision; None stands for a default."""
        given = {name: value for name, value in asked.items() if value is not None}
        return cls(**{"logit_tolerance": LOGIT_TOLERANCE[precision], **given})
