"""Images as an audit draws them, where it is known what part of all keep their label."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audit.units import Units, find_units, single_units
from imaging import grid_symmetries

ELEMENTS: Final = grid_symmetries("C4")

Flags = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Sample:
    """N images of one audit.

    Attributes
    ----------
    labels : int64 [N]
        Of the upright images.
    kept : bool [N]
        Whether an image keeps its label when it is rotated.
    control : bool [N]
        And when it is rotated and rotated back.
    units
        What counts once together.
    told
        Whether the labels are given to the audit.
    """

    labels: NDArray[np.int64]
    kept: Flags
    control: Flags
    units: Units
    told: bool = False


Population = Callable[[np.random.Generator], Sample]
"""Draws one audit's images."""


def plain(
    images: int, rate: float, *, control: float = 1.0, classes: int = 2, together: bool = False
) -> Population:
    """Single images; `together` says that those which are lost rotated back are lost rotated."""

    def draw(random: np.random.Generator) -> Sample:
        back = random.random(images) < control
        kept = back if together else random.random(images) < rate
        return Sample(random.integers(classes, size=images), kept, back, single_units(images))

    return draw


def by_class(
    images: int,
    shares: Sequence[float],
    rates: Sequence[float],
    *,
    controls: Sequence[float] | None = None,
    told: bool = True,
) -> Population:
    """Classes that come so often and keep their labels at different rates."""

    def draw(random: np.random.Generator) -> Sample:
        labels = random.choice(len(shares), images, p=np.asarray(shares))
        kept = random.random(images) < np.asarray(rates)[labels]
        back = random.random(images) < np.asarray(controls or np.ones(len(rates)))[labels]
        return Sample(labels, kept, back, single_units(images), told)

    return draw


def parts(count: int, rate: float, *, most: int = 8) -> Population:
    """Parts of which one to `most` images were taken, of which one is lost or none."""

    def draw(random: np.random.Generator) -> Sample:
        part = np.repeat(np.arange(count), random.integers(1, most + 1, count))
        lost = random.random(count) >= rate
        first = np.unique(part, return_index=True)[1]
        kept = np.ones(len(part), np.bool_)
        kept[first[lost]] = False
        units = find_units(_pixels(random, len(part)), ELEMENTS, part)
        labels = random.integers(2, size=len(part))
        return Sample(labels, kept, np.ones_like(kept), units)

    return draw


def sides(count: int, share: float, rate: float) -> Population:
    """Parts with a front, of class 0 or 1; a share has a back of class 2, which keeps so often."""

    def draw(random: np.random.Generator) -> Sample:
        backs = np.flatnonzero(random.random(count) < share)
        part = np.concatenate([np.arange(count), backs])
        front = random.integers(2, size=count)
        labels = np.concatenate([front, np.full(len(backs), 2)])
        kept = np.ones(len(part), np.bool_)
        kept[count:] = random.random(len(backs)) < rate
        units = find_units(_pixels(random, len(part)), ELEMENTS, part)
        return Sample(labels, kept, np.ones_like(kept), units, told=True)

    return draw


def copies(count: int, rate: float, *, lost: bool = False) -> Population:
    """Distinct images; those that keep their label, or those that lose it, come up to eight times.

    The copies are rotated, so that only what is equal up to the group tells that they are copies.
    """

    def draw(random: np.random.Generator) -> Sample:
        pixels, kept = _pixels(random, count), random.random(count) < rate
        often = np.where(kept != lost, random.integers(1, 9, count), 1)
        of = np.repeat(np.arange(count), often)
        turns = random.integers(len(ELEMENTS), size=len(of))
        images = np.stack(
            [ELEMENTS[t](pixels[n : n + 1])[0] for n, t in zip(of, turns, strict=True)]
        )
        labels = random.integers(2, size=count)[of]
        return Sample(labels, kept[of], np.ones(len(of), np.bool_), find_units(images, ELEMENTS))

    return draw


def without_labels(population: Population) -> Population:
    """The same images, of which the audit does not know what they show."""
    return lambda random: replace(population(random), told=False)


def _pixels(random: np.random.Generator, count: int) -> NDArray[np.uint8]:
    return random.integers(0, 256, (count, 1, 4, 4), dtype=np.uint8)
