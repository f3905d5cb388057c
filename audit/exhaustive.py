"""Every angle, for one image: what a classifier answers, without sampling.

A nearest-neighbour rotation gives one image for each of finitely many intervals of angles, and
`imaging` knows them all. Classifying each shows that the label is the same at every angle, or on
which intervals it is not.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import model_validator

from artifact.audit_set import AuditSet
from artifact.values import Count, Magnitude, PartInterval, Value
from audit.orbit import BatchedClassifier, Classifier, Progress
from audit.statistics import clopper_pearson
from audit.units import Units, single_units
from imaging import AngleIntervals, GridSymmetry, nearest_intervals
from imaging.refusal import RefusedError

_CHUNK = 256


class LabelInterval(Value):
    """Between two angles, in degrees, the label is the same; `start` names an interval."""

    start: float
    stop: float
    label: Count


class ExhaustiveImage(Value):
    """One image at every angle.

    Attributes
    ----------
    index
        Its place in the set.
    label
        Of the upright image.
    constant
        Whether that is the label on every interval that was decided.
    intervals
        From 0 to 360 degrees; one interval if the label is constant.
    kept_degrees
        How many of the 360 degrees have the label of the upright image.
    distinct_images
        How many different images were classified.
    smallest_margin, at_degrees
        Of the label of the upright image over the best of the others, in logits, and the beginning
        of the interval where it is smallest; negative where the label changes.
    """

    index: Count
    label: Count
    constant: bool
    intervals: tuple[LabelInterval, ...]
    kept_degrees: float
    distinct_images: Count
    smallest_margin: float
    at_degrees: float


class ExhaustiveOutcome(Value):
    """The part of a report about every angle.

    Attributes
    ----------
    claim
        What is shown, and what is not, in sentences.
    quarter_intervals
        Intervals of a quarter turn at the images' size.
    undecided_degrees
        The total width, over all angles, of intervals too narrow for floats to tell their ends
        apart; they were not classified.
    by_symmetry
        Whether a proof that quarter turns change nothing spared three quarters of all angles.
    constant_images, constant_interval
        Images with one label at every angle, and the Clopper-Pearson interval of the part of units
        of which all images have one.
    """

    claim: tuple[str, ...]
    quarter_intervals: Count
    undecided_degrees: Magnitude
    by_symmetry: bool
    images: tuple[ExhaustiveImage, ...]
    constant_images: Count
    constant_interval: PartInterval

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        constant = sum(image.constant for image in self.images)
        if constant != self.constant_images:
            raise ValueError(f"constant_images is {self.constant_images}, and {constant} are")
        return self


@dataclass(frozen=True)
class ProvedSymmetry:
    """A proof that quarter turns do not change the logits, but for the rounding of what runs.

    Attributes
    ----------
    rounding
        How far a quarter turn may move a logit of what runs; 0 where it moves no bit.
    """

    rounding: float


def audit_exhaustively(
    classify: Classifier,
    images: NDArray[np.uint8],
    indices: Sequence[int],
    *,
    symmetry: ProvedSymmetry | None,
    units: Units | None = None,
    confidence: float = 0.95,
    fill: int = 0,
    progress: Progress | None = None,
) -> ExhaustiveOutcome:
    """Classify every image that a nearest-neighbour rotate about the centre makes of some images.

    Parameters
    ----------
    classify
        From uint8 [N, C, n, n] to logits float32 [N, K].
    images : uint8 [N, C, n, n]
    indices
        The images that are tried, each by itself; at least one.
    symmetry
        With one, a quarter of all angles is classified, and the rest of it only where a margin is
        within twice the rounding.
    units
        Which of all images count once together; by default every image is one.
    confidence
        Of the interval.
    fill
        Grey level, 0 to 255, outside the disc.
    progress
        Called with the intervals that are done and their number in all, for all images together.

    Raises
    ------
    ValueError
        If the images are not square or too large, there is none, or the answers are no logits.
    """
    AuditSet(images)
    if images.shape[2] != images.shape[3] or not len(indices):
        raise RefusedError(
            f"{len(indices)} images of shape {images.shape[1:]} are to be rotated by every angle; "
            "one or more square images are accepted."
        )
    intervals = nearest_intervals(images.shape[-1])
    exhaustive = _ExhaustiveAudit(classify, intervals, symmetry, fill, progress, len(indices))
    found = tuple(exhaustive.image(images[n], n) for n in indices)
    constant = np.array([image.constant for image in found])
    kept = (units or single_units(len(images))).among(np.asarray(indices)).all(constant)
    undecided = 4 * float(np.diff(intervals.ends)[~intervals.decided].sum())
    return ExhaustiveOutcome(
        claim=tuple(_claim(intervals, symmetry, undecided)),
        quarter_intervals=intervals.count,
        undecided_degrees=undecided,
        by_symmetry=symmetry is not None,
        images=found,
        constant_images=int(constant.sum()),
        constant_interval=clopper_pearson(int(kept.sum()), len(kept), confidence),
    )


class _ExhaustiveAudit:
    """Takes images through every angle, one after the other."""

    def __init__(
        self,
        classify: Classifier,
        intervals: AngleIntervals,
        symmetry: ProvedSymmetry | None,
        fill: int,
        progress: Progress | None,
        images: int,
    ) -> None:
        self._ask = BatchedClassifier(classify)
        self._intervals, self._symmetry, self._fill = intervals, symmetry, fill
        self._progress, self._done, self._total = progress, 0, images * intervals.count

    def image(self, image: NDArray[np.uint8], index: int) -> ExhaustiveImage:
        """Classify an image [C, n, n] on all intervals."""
        labels = np.empty((4, self._intervals.count), np.int64)
        margins = np.empty((4, self._intervals.count))
        distinct, first, upright = 0, 0, None
        for pictures in self._pictures(image):
            here = slice(first, first + len(pictures))
            new = _differs_from_the_one_before(pictures)
            shown = np.cumsum(new) - 1
            logits = self._ask(pictures[new])
            distinct += len(logits)
            upright = int(logits[0].argmax()) if upright is None else upright
            labels[:, here] = logits.argmax(axis=1)[shown]
            margins[:, here] = _margins(logits, upright)[shown]
            again = self._worth_rotating(logits)
            for quarter in range(1, 4) if again.any() else ():
                rotated = GridSymmetry(False, quarter)(pictures[new][again])
                answers = self._ask(rotated)
                distinct += len(answers)
                known = again[shown]
                place = (np.cumsum(again) - 1)[shown][known]
                labels[quarter, here][known] = answers.argmax(axis=1)[place]
                margins[quarter, here][known] = _margins(answers, upright)[place]
            first = here.stop
            self._report(len(pictures))
        assert upright is not None  # noqa: S101 -- there is at least one interval
        return self._outcome(index, upright, labels, margins, distinct)

    def _pictures(self, image: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
        """The image on the intervals of a quarter in turn, uint8 [up to _CHUNK, C, n, n]."""
        size, channels = self._intervals.size, len(image)
        flat = np.full((channels, size * size + 1), self._fill, np.uint8)
        flat[:, :-1] = image.reshape(channels, -1)
        for sources in self._intervals.sources(_CHUNK):
            shape = (channels, len(sources), size, size)
            yield flat[:, sources].reshape(shape).swapaxes(0, 1)

    def _worth_rotating(self, logits: NDArray[np.float32]) -> NDArray[np.bool_]:
        """Which images say something new on the other quarters, bool [N]."""
        if self._symmetry is None:
            return np.ones(len(logits), bool)
        second, first = np.sort(logits.astype(np.float64), axis=1)[:, -2:].T
        close: NDArray[np.bool_] = first - second <= 2 * self._symmetry.rounding
        return close

    def _report(self, intervals: int) -> None:
        self._done += intervals
        if self._progress is not None:
            self._progress(self._done, self._total)

    def _outcome(
        self,
        index: int,
        upright: int,
        labels: NDArray[np.int64],
        margins: NDArray[np.float64],
        distinct: int,
    ) -> ExhaustiveImage:
        decided = np.tile(self._intervals.decided, 4)
        starts = np.concatenate([self._intervals.ends[:-1] + 90 * quarter for quarter in range(4)])
        widths = np.tile(np.diff(self._intervals.ends), 4)
        around, distance = labels.ravel()[decided], margins.ravel()[decided]
        kept = around == upright
        least = int(distance.argmin())
        return ExhaustiveImage(
            index=index,
            label=upright,
            constant=bool(kept.all()),
            intervals=tuple(_label_intervals(starts[decided], around)),
            kept_degrees=float(widths[decided][kept].sum()),
            distinct_images=distinct,
            smallest_margin=float(distance[least]),
            at_degrees=float(starts[decided][least]),
        )


def _differs_from_the_one_before(pictures: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Bool [N]: crossings among pixels of one grey level change nothing. The first one counts."""
    flat = pictures.reshape(len(pictures), -1)
    return np.concatenate([[True], (flat[1:] != flat[:-1]).any(axis=1)])


def _margins(logits: NDArray[np.float32], label: int) -> NDArray[np.float64]:
    exact = logits.astype(np.float64)
    margins: NDArray[np.float64] = exact[:, label] - np.delete(exact, label, axis=1).max(axis=1)
    return margins


def _label_intervals(
    starts: NDArray[np.float64], labels: NDArray[np.int64]
) -> Iterator[LabelInterval]:
    changes = np.flatnonzero(np.diff(labels, prepend=labels[0] - 1))
    stops = [*starts[changes[1:]], 360.0]
    for change, stop in zip(changes, stops, strict=True):
        yield LabelInterval(
            start=float(starts[change]), stop=float(stop), label=int(labels[change])
        )


def _claim(
    intervals: AngleIntervals, symmetry: ProvedSymmetry | None, undecided: float
) -> Iterator[str]:
    yield (
        "Every angle was tried: rotated by nearest-neighbour interpolation about its centre, an "
        f"image becomes one of {4 * intervals.count} different images, each for an interval of "
        "angles, and each was classified. At an angle where two intervals meet, the one that "
        "begins there counts."
    )
    if undecided:
        yield (
            f"Intervals of {undecided:.2g} degrees in all are too narrow for a computer to tell "
            "their ends apart: of these nothing is said."
        )
    if symmetry is not None and symmetry.rounding:
        yield (
            "The file is proved to be unchanged by quarter turns but for rounding, which was "
            f"allowed {symmetry.rounding:.2g} in a logit: a quarter of all angles was classified, "
            "and the rest only where the two largest logits are within twice that."
        )
    elif symmetry is not None:
        yield (
            "The file is proved to be unchanged by quarter turns in every bit, and what runs it "
            "was measured to keep that: a quarter of all angles was classified, and the rest "
            "follows from it."
        )
    yield (
        "It says nothing of other ways to interpolate, of other images, of the labels being right, "
        "or of a camera that is rotated instead of a picture that is computed."
    )
