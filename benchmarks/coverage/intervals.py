"""How often intervals miss what they should hold, and a class is wrongly called below."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from audit.statistics import (
    ConfidenceSequence,
    agreement_band,
    class_cells,
    clopper_pearson,
    mean_band,
)
from benchmarks.coverage.line import Line, Simulation

CONFIDENCE: Final = 0.95
IMAGES: Final = 256
ANGLES: Final = 36
LOOKS: Final = 200
STEP: Final = 5


def lines() -> Iterator[Line]:
    """Yield a line for each kind of interval."""
    for rate in (0.5, 0.95, 0.99, 0.999):
        truth = f"{rate:.1%} of all images agree"
        yield Line(f"Clopper-Pearson, {IMAGES} images", truth, clopper_pearson_misses(rate))
    for rate in (0.9, 0.99, 0.999):
        truth = f"{rate:.1%} at the best angle, flips of one image in intervals"
        yield Line(f"agreement band, {ANGLES} angles", truth, agreement_band_misses(rate))
    for spread in (0.5, 1.0):
        truth = f"log-normal deviations of images, sigma {spread}"
        yield Line(f"deviation band, {ANGLES} angles", truth, mean_band_misses(spread))
    for rate in (0.5, 0.99, 0.999):
        truth = f"{rate:.1%} agree, looked at {LOOKS} times, every {STEP} images"
        yield Line("confidence sequence, at all times", truth, sequence_misses(rate), cost=2)
    yield Line("no class is called below, Holm", "10 classes exactly at 95 %", a_class_is_accused)


def clopper_pearson_misses(rate: float) -> Simulation:
    """The interval of the images of one audit."""

    def audit(random: np.random.Generator) -> bool:
        interval = clopper_pearson(int(random.binomial(IMAGES, rate)), IMAGES, CONFIDENCE)
        return not interval.low <= rate <= interval.high

    return audit


def correlated(random: np.random.Generator, images: int) -> NDArray[np.float64]:
    """Standard normal curves [A, N] over all angles, neighbouring angles alike."""
    phase = 2 * np.pi * np.arange(ANGLES)[:, None] / ANGLES
    waves = [np.ones_like(phase)]
    for order in (1, 2, 4):
        waves += [np.sqrt(2) * np.cos(order * phase), np.sqrt(2) * np.sin(order * phase)]
    basis = np.concatenate(waves, axis=1) / np.sqrt(7)
    curves: NDArray[np.float64] = basis @ random.normal(size=(7, images))
    return curves


def agreement_band_misses(best: float) -> Simulation:
    """All angles at once: an image flips where its curve is above a level that the angle sets."""
    # The rate falls from the best, at the right angles, to three times as many flips between.
    flips = (1 - best) * (2 - np.cos(np.deg2rad(4 * 360 / ANGLES * np.arange(ANGLES))))
    levels = norm.isf(flips)[:, None]

    def audit(random: np.random.Generator) -> bool:
        agrees = correlated(random, IMAGES) < levels
        bands = agreement_band(agrees, CONFIDENCE)
        return not all(b.low <= 1 - f <= b.high for b, f in zip(bands, flips, strict=True))

    return audit


def mean_band_misses(spread: float) -> Simulation:
    """All angles at once."""
    truth = np.exp(spread**2 / 2)

    def audit(random: np.random.Generator) -> bool:
        low, high = mean_band(np.exp(spread * correlated(random, IMAGES)), CONFIDENCE)
        return not ((low <= truth) & (truth <= high)).all()

    return audit


def sequence_misses(rate: float) -> Simulation:
    """After every look."""

    def audit(random: np.random.Generator) -> bool:
        known = ConfidenceSequence(CONFIDENCE)
        for agreed in random.binomial(STEP, rate, LOOKS):
            known = known.update(int(agreed), STEP)
            if not known.interval.low <= rate <= known.interval.high:
                return True
        return False

    return audit


def a_class_is_accused(random: np.random.Generator) -> bool:
    """Every class is exactly at what is asked: each call that one is below is wrong."""
    classes = np.arange(500) % 10
    agrees = random.random(500) < 0.95
    return any(cell.below for cell in class_cells(classes, agrees, 0.95, CONFIDENCE))
