"""How often a verdict is wrong: PASS just below what is asked, FAIL where it is met."""

import re
from collections.abc import Iterator
from typing import Final

import numpy as np

from artifact.values import Verdict
from benchmarks.coverage.line import Line
from benchmarks.coverage.parts import ANGLES, TURNS, AuditPart
from benchmarks.coverage.samples import (
    Population,
    by_class,
    copies,
    parts,
    plain,
    sides,
    without_labels,
)

JUST: Final = 1e-4
MANY: Final = 0.95
COST: Final = 4
CLASS: Final = 0.8
UNSETTLED: Final = 0.1
"""So often, at most, may as many images as were named not settle it: 90 % power."""


def lines() -> Iterator[Line]:
    """Yield the lines of both parts."""
    for part in (TURNS, ANGLES):
        yield from passes(part)
        yield from failures(part)
        yield from unsettled(part)
    yield from resamplers()


def passes(part: AuditPart) -> Iterator[Line]:
    """Models just below what is asked, which must not reach PASS."""
    asked, few = part.asked, part.fewest
    below = asked - JUST
    for images in (few, 2 * few):
        truth = f"{below:.2%} of images keep their label, {images} images"
        yield _never(part, "PASS", truth, plain(images, below), asked)
    below = MANY - JUST
    truth = f"{below:.2%} of 72 parts do, one to eight images each"
    yield _never(part, "PASS", truth, parts(72, below), MANY, cost=COST)
    truth = f"{below:.2%} of 72 distinct images do, those up to eight times and rotated"
    yield _never(part, "PASS", truth, copies(72, below), MANY, cost=COST)
    fourth = by_class(200, [0.25] * 4, [1, 1, 1, CLASS - JUST])
    truth = "one class of four keeps 79.99 %, all 95 %; of all 90 % is asked"
    yield _never(part, "PASS", truth, fourth, 0.9, CLASS)
    truth += ", labels unknown"
    yield _never(part, "PASS", truth, without_labels(fourth), 0.9, CLASS)
    rare = by_class(400, [0.5, 0.25, 0.15, 0.1], [1, 1, 1, CLASS - JUST])
    truth = "a class of 10 % keeps 79.99 %, all 98 %; of all 90 % is asked"
    yield _never(part, "PASS", truth, rare, 0.9, CLASS)
    truth = "backs of parts are a class that keeps 79.99 %; of all 90 % is asked"
    backs = sides(100, 0.25, CLASS - JUST)
    yield _never(part, "PASS", truth, backs, 0.9, CLASS, cost=COST)


def failures(part: AuditPart) -> Iterator[Line]:
    """Models that just meet what is asked, which must not get FAIL."""
    asked, few = part.asked, part.fewest
    truth = f"{asked:.2%} of images keep their label, {2 * few} images"
    yield _never(part, "FAIL", truth, plain(2 * few, asked), asked)
    truth = f"{MANY:.2%} of 144 parts do, one to eight images each"
    yield _never(part, "FAIL", truth, parts(144, MANY), MANY, cost=COST)
    truth = f"{MANY:.2%} of 144 distinct images do, the others up to eight times and rotated"
    yield _never(part, "FAIL", truth, copies(144, MANY, lost=True), MANY, cost=COST)
    for classes in (2, 10):
        even = by_class(50 * classes, [1 / classes] * classes, [CLASS] * classes)
        truth = f"all of {classes} classes keep 80 %, which is asked of each and of all"
        yield _never(part, "FAIL", truth, even, CLASS, CLASS)


def unsettled(part: AuditPart) -> Iterator[Line]:
    """As many images as an audit said would settle it, if the model keeps as many as it found."""
    first = 200 if part is ANGLES else 512
    for lost in (0, 1, round(first * (1 - part.asked) * 1.6)):
        rate = 1 - lost / first
        images = named(part, first, lost)
        truth = f"{rate:.2%} keep their label, {images} images, as {lost} of {first} lost had said"
        yield _settled(part, truth, plain(images, rate), None)
        if lost < 2:
            four = by_class(images, [0.25] * 4, [rate] * 4)
            yield _settled(
                part, f"the same, in four classes of which {CLASS:.0%} is asked", four, CLASS
            )


def named(part: AuditPart, images: int, lost: int) -> int:
    """How many images an audit says would settle it, in its own words; as many if it is settled."""
    sample = plain(images, 1)(np.random.default_rng(0))
    sample.kept[:lost] = False
    said = re.search(
        r"(\d+) images settle it", " ".join(part.judge(sample, part.asked, None).reasons)
    )
    return int(said[1]) if said else images


def resamplers() -> Iterator[Line]:
    """Models that lose no more labels rotated than rotated back: the resampler's doing, no FAIL."""
    for rate in (0.95, 0.93, 0.91, 0.85):
        for together in (False, True):
            same = "the same" if together else "as many"
            truth = f"{rate:.0%} keep their label, and rotated back {same}"
            population = plain(200, rate, control=rate, together=together)
            yield _never(ANGLES, "FAIL", truth, population, ANGLES.asked)
    for rate in (0.75, 0.6):
        rates = [1.0, 1.0, 1.0, rate]
        population = by_class(200, [0.25] * 4, rates, controls=rates)
        truth = f"one class of four keeps {rate:.0%}, and rotated back as many"
        yield _never(ANGLES, "FAIL", truth, population, 0.8, CLASS)


def _never(
    part: AuditPart,
    verdict: Verdict,
    truth: str,
    population: Population,
    agreement: float,
    class_agreement: float | None = None,
    *,
    cost: int = 1,
) -> Line:
    def wrong(random: np.random.Generator) -> bool:
        judgement = part.judge(population(random), agreement, class_agreement)
        return judgement.verdict == verdict

    return Line(f"{verdict}, {part.name}", truth, wrong, cost=cost)


def _settled(
    part: AuditPart, truth: str, population: Population, class_agreement: float | None
) -> Line:
    def wrong(random: np.random.Generator) -> bool:
        judgement = part.judge(population(random), part.asked, class_agreement)
        return judgement.verdict == "INCONCLUSIVE"

    return Line(f"so many images settle it, {part.name}", truth, wrong, UNSETTLED)
