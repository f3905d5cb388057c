"""Ask a classifier about every image at many angles, and about the same images rotated back."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from audit.orbit import BatchedClassifier, Classifier, Progress
from audit.questions import OnGrid, Places, Question, Workers
from imaging import Resampler, damp, keep_disc, rotate_images
from imaging.refusal import RefusedError


@dataclass(frozen=True)
class AnglePlan:
    """Which angles, and how images are rotated: see `AngleSampling`.

    Raises
    ------
    ValueError
        If there are fewer angles than 8, which could be right angles only, or more than 3600.
    """

    count: int = 36
    resampler: Resampler = field(default=Resampler())
    seed: int | None = None

    def __post_init__(self) -> None:
        if not 8 <= self.count <= 3600:
            raise RefusedError(f"There are {self.count} angles; 8 to 3600 are accepted.")

    @property
    def step(self) -> float:
        """Degrees from one angle of an image to the next."""
        return 360 / self.count

    @property
    def damps(self) -> bool:
        """Whether a rotation damps fine detail, as all but that of whole pixels do."""
        return self.resampler.method != "nearest"

    def classifications(self, images: int, *, damped: bool = False) -> int:
        """How many images `ask_at_angles` classifies: two upright, and two or three an angle."""
        return (2 + (3 if damped and self.damps else 2) * self.count) * images

    def degrees(self, images: int) -> NDArray[np.float64]:
        """The angles of each image: float64 [A, N]."""
        starts = np.zeros(images)
        if self.seed is not None:
            starts = np.random.default_rng(self.seed).uniform(0, self.step, images)
        return self.step * np.arange(self.count)[:, None] + starts


@dataclass(frozen=True, eq=False)
class AngleAnswers:
    """The logits of N images at A angles.

    Attributes
    ----------
    degrees : float64 [A, N]
    whole : float32 [N, K]
        Of the images as they are.
    upright : float32 [N, K]
        Of the images in their disc.
    rotated : float32 [A, N, K]
    back : float32 [A, N, K]
        Of the images that were rotated and rotated back.
    damped : float32 [A, N, K], or None
        Of the images that were damped as the rotation damps them, and not rotated.
    """

    degrees: NDArray[np.float64]
    whole: NDArray[np.float32]
    upright: NDArray[np.float32]
    rotated: NDArray[np.float32]
    back: NDArray[np.float32]
    damped: NDArray[np.float32] | None = None

    @cached_property
    def labels(self) -> NDArray[np.int64]:
        """Of the upright images, int64 [N]."""
        labels: NDArray[np.int64] = self.upright.argmax(axis=-1)
        return labels

    @cached_property
    def agrees(self) -> NDArray[np.bool_]:
        """Whether an image keeps its label at an angle, bool [A, N]."""
        agrees: NDArray[np.bool_] = self.rotated.argmax(axis=-1) == self.labels
        return agrees

    @cached_property
    def back_agrees(self) -> NDArray[np.bool_]:
        """The same of images that were rotated back."""
        agrees: NDArray[np.bool_] = self.back.argmax(axis=-1) == self.labels
        return agrees

    @cached_property
    def damped_agrees(self) -> NDArray[np.bool_] | None:
        """The same of images that were damped."""
        return None if self.damped is None else self.damped.argmax(axis=-1) == self.labels


@dataclass(frozen=True, eq=False)
class InDisc:
    """Images in their disc: what is outside of it is filled."""

    places: Places
    fill: int
    calls: ClassVar[int] = 1

    def batches(self, images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
        """Yield them, in one batch."""
        yield keep_disc(images[self.places], self.fill)


@dataclass(frozen=True, eq=False)
class AtAngles:
    """Images rotated by degrees, all by the same or each by its own: float64 [N]."""

    places: Places
    degrees: float | NDArray[np.float64]
    resampler: Resampler
    damped: bool

    @property
    def calls(self) -> int:
        """How many batches it is."""
        return 3 if self.damped else 2

    def batches(self, images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
        """Yield them rotated, rotated and rotated back, and damped where that is asked for."""
        some, fill = images[self.places], self.resampler.fill
        # Whole images are rotated, so that the rim of the disc does not mix with the fill.
        there = rotate_images(some, self.degrees, self.resampler)
        yield keep_disc(there, fill)
        yield keep_disc(rotate_images(there, -self.degrees, self.resampler), fill)
        if self.damped:
            yield keep_disc(damp(some, self.degrees, self.resampler), fill)


def ask_at_angles(
    classify: Classifier,
    images: NDArray[np.uint8],
    plan: AnglePlan,
    *,
    damped: bool = False,
    batch_size: int = 64,
    progress: Progress | None = None,
    workers: Workers | None = None,
) -> AngleAnswers:
    """Classify images uint8 [N, C, n, n] upright, rotated by each angle, and rotated back.

    Where `damped` is asked for and the resampler damps, so are images that are damped only.
    `workers` are asked instead of `classify`, if there are.

    Raises
    ------
    ValueError
        If the images are not square or the classifier's answers are not as `BatchedClassifier`
        asks.
    """
    fill, count = plan.resampler.fill, len(images)
    damped = damped and plan.damps
    degrees = plan.degrees(count)
    batches = [slice(i, i + batch_size) for i in range(0, count, batch_size)]

    def upright() -> Iterator[Question]:
        yield from map(OnGrid, batches)
        yield from (InDisc(batch, fill) for batch in batches)

    def rotated() -> Iterator[Question]:
        for a in range(plan.count):
            for batch in batches:
                yield AtAngles(batch, _shared(degrees[a, batch]), plan.resampler, damped)

    total = plan.classifications(count, damped=damped)
    ask = BatchedClassifier(classify, total, progress, workers)
    before, after = [*ask.answers(upright(), images)], [*ask.answers(rotated(), images)]
    kinds = [
        np.concatenate(after[kind :: 3 if damped else 2]).reshape(plan.count, count, -1)
        for kind in range(3 if damped else 2)
    ]
    whole, disc = before[: len(batches)], before[len(batches) :]
    return AngleAnswers(degrees, np.concatenate(whole), np.concatenate(disc), *kinds)


def _shared(degrees: NDArray[np.float64]) -> float | NDArray[np.float64]:
    """One angle where all are the same: its tables are kept."""
    return float(degrees[0]) if (degrees == degrees[0]).all() else degrees
