"""How often the audit's intervals hold what they should, where that is known: simulated audits.

Run ``python -m benchmarks.coverage``. A 95 % interval has to cover at least 95 % of the time, but
for the chance of the simulation, which is printed beside it. Behind that come the self-tests of the
shipped models, see `benchmarks.selftests`.
"""

import argparse
from collections.abc import Callable, Iterator

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
from benchmarks import selftests

CONFIDENCE = 0.95
IMAGES = 256
ANGLES = 36
LOOKS, STEP = 200, 5

Simulation = Callable[[np.random.Generator], bool]
"""One audit: whether what was stated is true."""


def main() -> None:
    """Simulate and print a Markdown table, then that of the self-tests."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--audits", type=int, default=1000, help="simulated of each kind")
    options = parser.parse_args()
    print(f"{options.audits} simulated audits a line, seed 0; stated: {CONFIDENCE:.0%}\n")
    print("| statement | truth | holds | ± |")
    print("| --- | --- | --- | --- |")
    for statement, truth, simulation in simulations():
        held, error = coverage(simulation, options.audits)
        print(f"| {statement} | {truth} | {held:.2%} | {2 * error:.2%} |", flush=True)
    print()
    selftests.main()


def coverage(simulation: Simulation, audits: int, seed: int = 0) -> tuple[float, float]:
    """Return the part of the audits whose statement is true, and its standard error."""
    random = np.random.default_rng(seed)
    held = sum(simulation(random) for _ in range(audits)) / audits
    return held, float(np.sqrt(max(held * (1 - held), 1 / audits) / audits))


def simulations() -> Iterator[tuple[str, str, Simulation]]:
    """Yield a name, what is true, and one audit, for each kind of interval."""
    for rate in (0.5, 0.95, 0.99, 0.999):
        truth = f"{rate:.1%} of all images agree"
        yield f"Clopper-Pearson, {IMAGES} images", truth, clopper_pearson_holds(rate)
    for rate in (0.9, 0.99, 0.999):
        truth = f"{rate:.1%} at the best angle, flips of one image in arcs"
        yield f"agreement band, {ANGLES} angles", truth, agreement_band_holds(rate)
    for spread in (0.5, 1.0):
        truth = f"log-normal deviations of images, sigma {spread}"
        yield f"deviation band, {ANGLES} angles", truth, mean_band_holds(spread)
    for rate in (0.5, 0.99, 0.999):
        truth = f"{rate:.1%} agree, looked at {LOOKS} times, every {STEP} images"
        yield "confidence sequence, at all times", truth, sequence_holds(rate)
    yield "no class is called below, Holm", "10 classes exactly at 95 %", no_class_is_accused


def clopper_pearson_holds(rate: float) -> Simulation:
    """The interval of the images of one audit."""

    def audit(random: np.random.Generator) -> bool:
        interval = clopper_pearson(int(random.binomial(IMAGES, rate)), IMAGES, CONFIDENCE)
        return interval.low <= rate <= interval.high

    return audit


def correlated(random: np.random.Generator, images: int) -> NDArray[np.float64]:
    """Standard normal curves [A, N] around the circle, neighbouring angles alike."""
    phase = 2 * np.pi * np.arange(ANGLES)[:, None] / ANGLES
    waves = [np.ones_like(phase)]
    for order in (1, 2, 4):
        waves += [np.sqrt(2) * np.cos(order * phase), np.sqrt(2) * np.sin(order * phase)]
    basis = np.concatenate(waves, axis=1) / np.sqrt(7)
    curves: NDArray[np.float64] = basis @ random.normal(size=(7, images))
    return curves


def agreement_band_holds(best: float) -> Simulation:
    """All angles at once: an image flips where its curve is above a level that the angle sets."""
    # The rate falls from the best, at the right angles, to three times as many flips between.
    flips = (1 - best) * (2 - np.cos(np.deg2rad(4 * 360 / ANGLES * np.arange(ANGLES))))
    levels = norm.isf(flips)[:, None]

    def audit(random: np.random.Generator) -> bool:
        agrees = correlated(random, IMAGES) < levels
        bands = agreement_band(agrees, CONFIDENCE)
        return all(b.low <= 1 - f <= b.high for b, f in zip(bands, flips, strict=True))

    return audit


def mean_band_holds(spread: float) -> Simulation:
    """All angles at once."""
    truth = np.exp(spread**2 / 2)

    def audit(random: np.random.Generator) -> bool:
        low, high = mean_band(np.exp(spread * correlated(random, IMAGES)), CONFIDENCE)
        return bool(((low <= truth) & (truth <= high)).all())

    return audit


def sequence_holds(rate: float) -> Simulation:
    """After every look."""

    def audit(random: np.random.Generator) -> bool:
        known = ConfidenceSequence(CONFIDENCE)
        for agreed in random.binomial(STEP, rate, LOOKS):
            known = known.update(int(agreed), STEP)
            if not known.interval.low <= rate <= known.interval.high:
                return False
        return True

    return audit


def no_class_is_accused(random: np.random.Generator) -> bool:
    """Every class is exactly at what is asked: each call that one is below is wrong."""
    classes = np.arange(500) % 10
    agrees = random.random(500) < 0.95
    return not any(cell.below for cell in class_cells(classes, agrees, 0.95, CONFIDENCE))


if __name__ == "__main__":
    main()
