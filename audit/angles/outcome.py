"""The schema of what was measured at sampled angles."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from artifact.values import Count, Magnitude, Part, PartInterval, Value, Verdict
from audit.counterexample import Counterexample
from audit.statistics import Cell, DeviationDistribution
from audit.values import (
    CLASS_AGREEMENT,
    Bits,
    Proportion,
    Reasons,
    refuse_more_than,
)
from imaging import Method


class AngleSampling(Value):
    """Which angles, and how images were rotated.

    Every image is rotated about its centre, (n - 1) / 2 in pixel indices, and every image that is
    classified, upright or rotated, shows the fill outside the disc of the image's inscribed circle.

    Attributes
    ----------
    count
        Angles of each image, `360 / count` degrees apart.
    seed
        None: the same angles for all images, from 0. Else the angles of each image start at an
        offset of its own, drawn with this seed.
    longest_missed_interval
        In degrees: whatever happens within so many degrees only can lie between two angles.
    """

    count: Count
    seed: int | None
    method: Method
    fill: int
    longest_missed_interval: float


class AnglePoint(Value):
    """What was measured at one angle, or with a seed from this angle to the next.

    Attributes
    ----------
    agreement, band
        Part of the images that keep the label of the upright image, and its interval; the intervals
        of all angles hold at once.
    control_agreement
        The same of images that were rotated and rotated back.
    mean_deviation, deviation_low, deviation_high
        Mean over the images of the largest change of a logit, and its band over all angles.
    control_deviation
        The same mean of images that were rotated and rotated back.
    damped_agreement, damped_deviation
        The same of images that were not rotated but given the power spectrum of rotated ones; None
        for the nearest pixel, which damps nothing.
    median_margin
        Of the upright image's label over the best of the others, in logits.
    label_entropy
        Of the labels at this angle, in bits.
    accuracy
        Part of the images that get the label that they should; None when no labels were given.
    """

    degrees: float
    agreement: Part
    band: PartInterval
    control_agreement: Part
    mean_deviation: Magnitude
    deviation_low: float
    deviation_high: float
    control_deviation: Magnitude
    damped_agreement: Part | None
    damped_deviation: Magnitude | None
    median_margin: float
    label_entropy: Bits
    accuracy: Part | None


class WorstAngle(Value):
    """The angle at which the label of an upright image has the smallest margin.

    Attributes
    ----------
    margin
        In logits; negative where the label changed.
    control_margin
        That of the image that was rotated by this angle and rotated back.
    """

    index: Count
    degrees: float
    label: Count
    rotated_label: Count
    margin: float
    control_margin: float


class ClassCurve(Value):
    """Of one class, how many images keep their label at each angle of the curve."""

    label: Count
    images: Annotated[Count, Field(ge=1)]
    agreeing: tuple[Count, ...]


class AngleSelfTest(Value):
    """The audit tried on what is known beforehand.

    Attributes
    ----------
    mutant
        Verdict on the model that answers with the next class where an image is heavier below its
        centre than above; FAIL is right.
    known_invariant
        Verdict on a known model that is invariant: it knows bright images from dark ones. FAIL is
        wrong.
    quarters_exact
        Whether a rotation by 90 degrees, and by 90 more, was that of the pixel grid, bit for bit.
    """

    images: Count
    angles: Count
    mutant: Verdict
    known_invariant: Verdict
    quarters_exact: bool

    @property
    def passed(self) -> bool:
        """Whether all of it is right."""
        return self.mutant == "FAIL" and self.known_invariant != "FAIL" and self.quarters_exact


class AngleFigures(Value):
    """What was measured. The unit is sampled, not the image at an angle: see `audit.units`.

    Attributes
    ----------
    agreeing_images, agreement_interval
        Images that keep their label at all their angles, and the Clopper-Pearson interval of their
        part.
    control_agreeing, control_interval
        Images that keep it at all angles when rotated and rotated back: what the resampler, applied
        twice, does by itself.
    damped_agreeing, damped_interval
        Images that keep it at all angles when damped as by the rotations, and not rotated: what the
        loss of fine detail, once, does by itself. None for the nearest pixel, which damps nothing.
    rotated_only
        Images that lose it at some angle when rotated, and at none when rotated and rotated back:
        the model's doing.
    control_only
        The other way round.
    disc_changed
        Images whose label changes when what is outside the disc is filled, without any rotation.
    accuracy, label_entropy
        Of the upright images in their disc; the entropy is in bits.
    curve
        By angle.
    worst
        One for each image, the smallest margin first.
    classes, control_classes, class_curves
        By the label an image should get, or gets upright where that is not known: at all angles
        together, rotated and rotated back, and by angle.
    chance_agreement
        As in the figures of the exact orbit.
    largest_logit
        Largest magnitude of a logit.
    deviations, control_deviations
        How the images are distributed by how far each moves at its angles, and rotated back.
    """

    images: Annotated[Count, Field(ge=1)]
    agreeing_images: Count
    agreement_interval: PartInterval
    control_agreeing: Count
    control_interval: PartInterval
    damped_agreeing: Count | None
    damped_interval: PartInterval | None
    rotated_only: Count
    control_only: Count = 0
    disc_changed: Count
    accuracy: Part | None
    label_entropy: Bits
    curve: Annotated[tuple[AnglePoint, ...], Field(min_length=1)]
    worst: Annotated[tuple[WorstAngle, ...], Field(min_length=1)]
    classes: tuple[Cell, ...]
    class_curves: tuple[ClassCurve, ...]
    largest_logit: Magnitude
    deviations: DeviationDistribution
    control_deviations: DeviationDistribution
    chance_agreement: Part = 0.0
    control_classes: tuple[Cell, ...] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        angles = len(self.curve)
        if any(len(each.agreeing) != angles for each in self.class_curves):
            raise ValueError(f"a class has not one number for each of {angles} angles")
        if any((point.accuracy is None) != (self.accuracy is None) for point in self.curve):
            raise ValueError("how many labels are right is told at some angles only")
        refuse_more_than(
            self.images,
            agreeing_images=self.agreeing_images,
            control_agreeing=self.control_agreeing,
            damped_agreeing=self.damped_agreeing,
            rotated_only=self.rotated_only,
            control_only=self.control_only,
        )
        told = (len(self.worst), self.deviations.images, self.control_deviations.images)
        if len(set(told)) > 1:
            raise ValueError(f"margins, deviations and those of the control are of {told} images")
        for each in (*self.classes, *self.control_classes):
            refuse_more_than(each.images, agreeing=each.agreeing)
        for curve in self.class_curves:
            refuse_more_than(curve.images, agreeing=max(curve.agreeing))
        return self


class AngleThresholds(Value):
    """What is asked of a model: this part of all images keeps its label at all sampled angles.

    Of each class, `class_agreement` does; None asks nothing of classes.
    """

    agreement: Proportion = 0.95
    class_agreement: Proportion | None = CLASS_AGREEMENT
    confidence: Proportion = 0.95


class AngleOutcome(Value):
    """The part of a report about sampled angles, with a verdict of its own.

    Attributes
    ----------
    claim
        What the verdict says, and what it does not, in sentences.
    counterexamples
        Of the first images of `figures.worst`, in their order: both answers and pictures.
    """

    verdict: Verdict
    reasons: Reasons
    claim: tuple[str, ...]
    sampling: AngleSampling
    thresholds: AngleThresholds
    figures: AngleFigures
    counterexamples: tuple[Counterexample, ...]
    self_test: AngleSelfTest | None
