"""The schema of an audit's report. Equal inputs give equal JSON: nothing in it depends on time."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, model_validator

from artifact.identity import ModelIdentity
from artifact.values import Count, Magnitude, Part, PartInterval, Value, Verdict
from audit.about import About
from audit.angles.outcome import AngleOutcome
from audit.counterexample import Counterexample
from audit.exhaustive import ExhaustiveOutcome
from audit.labels import set_name
from audit.older_reports import upgraded
from audit.proved import ProofSummary
from audit.provenance import DataIdentity, Execution
from audit.statistics import Cell, DeviationDistribution
from audit.thresholds import Thresholds
from audit.values import Bits, Judgement, Reasons, refuse_more_than

Mutation = Literal["one weight changed", "told up from down"]


class Repeating(Value):
    """What a model that does not repeat itself does, asked as often as it was about rotated images.

    Attributes
    ----------
    agreeing_images, agreement_interval
        Images that keep their label however often they are asked about.
    exceeding_p
        How likely images would move so much farther when they are rotated than when they are asked
        about again, or farther still, if rotating did nothing (`audit.statistics.shuffle_test` of
        their ranks).
    losing_p
        The same of labels that are lost; None in reports of older versions.
    """

    agreeing_images: Count
    agreement_interval: PartInterval
    exceeding_p: Part
    losing_p: Part | None = None


class NoiseFloor(Value):
    """How far logits move when nothing was rotated.

    Attributes
    ----------
    repeat
        Largest change of a logit between runs over the same batches: two runs or, where these gave
        other bits, as many more as there are rotations.
    regrouped
        Largest change of a logit when the same images come in other batches, or some of them alone.
    elsewhere
        Largest change of a logit when the model is opened otherwise, with other thread counts for
        instance; None where it was opened once.
    relative
        The largest of these, relative to the largest logit.
    repeating
        None where the same batches gave the same bits.
    """

    repeat: Magnitude
    regrouped: Magnitude
    elsewhere: Magnitude | None = None
    relative: Magnitude
    repeating: Repeating | None = None


class Accuracy(Value):
    """How many upright images get the label they should, and the interval of their part.

    It is Clopper-Pearson's or, where images count once together, `audit.statistics`'s of clusters.
    """

    correct: Count
    count: Annotated[Count, Field(ge=1)]
    interval: PartInterval

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse_more_than(self.count, correct=self.correct)
        return self


class ElementFigures(Value):
    """What one element of the group changes."""

    element: str
    changed_labels: Count
    max_logit_deviation: Magnitude
    max_probability_deviation: Magnitude


class Answers(Value):
    """What became of each image, in the set's order: what another audit is compared with.

    Attributes
    ----------
    labels
        Of the upright image, as class indices.
    expected
        What it shows, where that is known.
    kept
        Whether it has its label under all elements.
    deviation
        Largest distance of a logit from that of the upright image.
    units
        What it counts as: images of one unit have one number.
    still
        The places of images that an element changes by 2 of 255 grey levels at most, so that they
        do not show what it does: see `audit.moved`.
    """

    labels: tuple[Count, ...]
    expected: tuple[Count, ...] | None
    kept: tuple[bool, ...]
    deviation: tuple[Magnitude, ...]
    units: tuple[Count, ...]
    still: Annotated[tuple[Count, ...], Field(exclude_if=lambda told: not told)] = ()

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        images = len(self.labels)
        for name in ("expected", "kept", "deviation", "units"):
            told = getattr(self, name)
            if told is not None and len(told) != images:
                raise ValueError(f"{name} is of {len(told)} images, and labels of {images}")
        if (last := max(self.still, default=-1)) >= images:
            raise ValueError(f"image {last} is still, and there are {images}, from 0")
        return self


class Figures(Value):
    """What was measured. The unit is sampled, not the rotated image: see `audit.units`.

    Attributes
    ----------
    images
        Number of units: of images that are distinct up to the group, or of what they were taken of.
    agreeing_images
        Those of which all images have the same label under all elements.
    label_agreement, agreement_interval
        Their part, and its Clopper-Pearson interval.
    max_logit_deviation, relative_logit_deviation
        Largest distance of a logit from that of the upright image; relative to `largest_logit`.
    max_probability_deviation
        The same of probabilities.
    largest_logit
        Largest magnitude of a logit.
    label_entropy
        Of the labels of the upright images, in bits: a constant classifier agrees with itself.
    chance_agreement
        The part of all labels that a rotation would keep if it drew them anew, from those of these
        images: what agreement means nothing.
    classes
        By the label an image should get, or gets upright where that is not known.
    accuracy
        None when no labels were given.
    elements
        The figures of each element but the identity.
    deviations
        How the images are distributed by how far each moves, to be held against the noise floor.
    answers
        What became of each image; None in reports of older versions.
    deviation_of_variation
        Where it is above the tolerance and `relative_logit_deviation` is not: the largest distance
        relative to what logits vary by (`artifact.deviation.unexplained_by_constants`).
    """

    images: Annotated[Count, Field(ge=1)]
    agreeing_images: Count
    label_agreement: Part
    agreement_interval: PartInterval
    max_logit_deviation: Magnitude
    relative_logit_deviation: Magnitude
    max_probability_deviation: Magnitude
    largest_logit: Magnitude
    label_entropy: Bits
    accuracy: Accuracy | None
    elements: tuple[ElementFigures, ...]
    deviations: DeviationDistribution
    chance_agreement: Part = 0.0
    classes: tuple[Cell, ...] = ()
    answers: Answers | None = None
    deviation_of_variation: Annotated[
        Magnitude | None, Field(exclude_if=lambda told: told is None)
    ] = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        refuse_more_than(self.images, agreeing_images=self.agreeing_images)
        if self.label_agreement != self.agreeing_images / self.images:
            raise ValueError(
                f"label_agreement is {self.label_agreement:g}, of {self.agreeing_images} images "
                f"in {self.images}"
            )
        for each in self.classes:
            refuse_more_than(each.images, agreeing=each.agreeing)
        return self


class WorstImage(Value):
    """An image that moved far, under the element that moved it most.

    Attributes
    ----------
    index
        Its place in the set.
    element
        A changed label counts for more than any deviation.
    label, rotated_label
        Class indices of the upright and of the rotated image, or numbers of sets of them; see
        `Report.label_sets`.
    logit_deviation
        Largest change of a logit.
    margin
        Distance of the two largest logits of the upright image; where it may get several labels,
        that of the nearest logit from 0.
    counterexample
        Both answers, and both pictures where they are wanted.
    """

    index: Count
    element: str
    label: Count
    rotated_label: Count
    logit_deviation: Magnitude
    margin: Magnitude
    counterexample: Counterexample


class SelfTest(Value):
    """The audit tried on two classifiers whose verdict is known beforehand.

    Attributes
    ----------
    images
        Number of images it was tried on.
    mutation
        How the mutant was made: in the model's file or, where that is not at hand, around the
        model, which answers with the next class where an image is heavier on one side.
    mutant
        Verdict on the mutant; FAIL is right.
    known_invariant
        Verdict on a known model that is invariant: it knows bright images from dark ones. FAIL is
        wrong.
    """

    images: Count
    mutation: Mutation = "one weight changed"
    mutant: Verdict
    known_invariant: Verdict

    @property
    def passed(self) -> bool:
        """Whether both verdicts are right."""
        return self.mutant == "FAIL" and self.known_invariant != "FAIL"


LabelSets = Annotated[tuple[tuple[Count, ...], ...], Field(exclude_if=lambda sets: not sets)]


class Report(Value):
    """The outcome of an audit.

    Attributes
    ----------
    verdict
        PASS, FAIL, or INCONCLUSIVE when the images cannot decide.
    reasons
        One sentence for everything that led to it, those of the exact orbit first.
    claim
        What the verdict says, and what it does not, in sentences.
    orbit_verdict
        On the exact orbit alone.
    group
        The group whose grid symmetries were tried.
    proof
        What is proved of the file; None in reports of older versions, and where none was at hand.
    angles
        The sampled angles, where they were asked for: their verdict counts in the report's.
    exhaustive_angles
        Every angle of some images, where that was asked for; it has no verdict.
    execution
        What ran the model, where that is known.
    about
        What somebody said of the audit and its images.
    replay
        The command that makes the same report again, where there is one.
    label_sets
        Of a model that gives several labels: the sets that images got, but for single labels, by
        class index. The first has the label's number K, behind the classes', the next one K + 1.
    """

    verdict: Verdict
    reasons: Reasons
    claim: tuple[str, ...]
    schema_version: Literal[3, 4, 5, 6] = 6
    orbit_verdict: Verdict
    group: str
    model: ModelIdentity
    data: DataIdentity
    thresholds: Thresholds
    noise_floor: NoiseFloor
    figures: Figures
    proof: ProofSummary | None = None
    worst: tuple[WorstImage, ...]
    self_test: SelfTest | None
    angles: AngleOutcome | None = None
    exhaustive_angles: ExhaustiveOutcome | None = None
    execution: Execution | None = None
    about: About | None = None
    replay: str | None = None
    label_sets: LabelSets = ()

    @property
    def label_names(self) -> tuple[str, ...]:
        """What labels are called, by number: the classes, and sets of them behind these."""
        names = self.model.classes
        return (*names, *(set_name(names, each) for each in self.label_sets if names))

    def label_name(self, label: int) -> str:
        """What a label is called; `label 3` where nobody said."""
        names = self.label_names
        return names[label] if 0 <= label < len(names) else self.model.class_name(label)

    @model_validator(mode="before")
    @classmethod
    def _upgraded(cls, fields: Any) -> Any:
        return upgraded(fields) if isinstance(fields, Mapping) else fields

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if not self.orbit.reasons:
            raise ValueError("no reason is given for the verdict on the exact orbit")
        angles = self.orbit_verdict if self.angles is None else self.angles.verdict
        if self.verdict != (worse := max(self.orbit_verdict, angles, key=_SEVERITY.index)):
            raise ValueError(f"the verdict is {self.verdict}, and that of its parts {worse}")
        images, files = len(self.data.image_sha256), len(self.data.files)
        if images != self.data.count:
            raise ValueError(f"there are digests of {images} images, of {self.data.count} in all")
        if files not in (0, images):
            raise ValueError(f"there are {files} files of {images} images")
        units, near = self.data.units, self.data.near_duplicates
        refuse_more_than(images, units=units, near_duplicates=near)
        for each in self.figures.elements:
            refuse_more_than(images, changed_labels=each.changed_labels)
        for name, count in self._counted():
            if count != images:
                raise ValueError(f"{name} are told of {count} images, and there are {images}")
        for index in self._shown():
            if index >= images:
                raise ValueError(f"image {index} is shown, and there are {images}, from 0")
        classes = len(self.model.classes)
        if classes and any(label >= classes for each in self.label_sets for label in each):
            raise ValueError(f"a set of labels has one that is none of the {classes} classes")
        for label, counterexample in () if self.model.multi_label else self._answered():
            logits = len(counterexample.upright_logits)
            if logits < 2 or label >= logits:
                raise ValueError(f"an image with the label {label} has {logits} logits")
        return self

    def _counted(self) -> Iterator[tuple[str, int]]:
        """Yield what is told of every image, and of how many it is told."""
        figures = self.figures
        yield "deviations", figures.deviations.images
        if figures.answers is not None:
            yield "answers", len(figures.answers.labels)
        if figures.accuracy is not None:
            yield "right labels", figures.accuracy.count

    def _shown(self) -> Iterator[int]:
        """Yield the places of the images that something is said of."""
        yield from (each.index for each in self.worst)
        if self.angles is not None:
            yield from (each.index for each in self.angles.figures.worst)
        if self.exhaustive_angles is not None:
            yield from (each.index for each in self.exhaustive_angles.images)

    def _answered(self) -> Iterator[tuple[int, Counterexample]]:
        """Yield the label of each upright image that is shown with its answers."""
        yield from ((each.label, each.counterexample) for each in self.worst)
        if self.angles is not None:
            worst = (each.label for each in self.angles.figures.worst)
            yield from zip(worst, self.angles.counterexamples, strict=False)

    @property
    def orbit(self) -> Judgement:
        """What was found on the exact orbit alone."""
        between = 0 if self.angles is None else len(self.angles.reasons)
        return Judgement(self.orbit_verdict, self.reasons[: len(self.reasons) - between])

    def joined(
        self, angles: AngleOutcome | None = None, exhaustive_angles: ExhaustiveOutcome | None = None
    ) -> Self:
        """The report with what was found between the quarter turns.

        The verdict is the worse of both: FAIL before INCONCLUSIVE before PASS.
        """
        verdict, reasons = self.orbit.verdict, self.orbit.reasons
        if angles is not None:
            verdict = max(verdict, angles.verdict, key=_SEVERITY.index)
            reasons = (*reasons, *angles.reasons)
        return self.model_copy(
            update={
                "verdict": verdict,
                "reasons": reasons,
                "angles": angles,
                "exhaustive_angles": exhaustive_angles,
            }
        )


_SEVERITY: Final[tuple[Verdict, ...]] = ("PASS", "INCONCLUSIVE", "FAIL")
