"""How often a model that no rotation changes gets FAIL because it does not repeat itself."""

import threading
import zlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from artifact.values import Verdict
from audit.figures import noise_floor, orbit_figures
from audit.orbit import Classifier, evaluate_orbit
from audit.thresholds import Thresholds
from audit.verdict import judge
from benchmarks.coverage.line import Line, Simulation
from benchmarks.coverage.samples import ELEMENTS

IMAGES: Final = 512
COST: Final = 4

Noise = Callable[[np.random.Generator, NDArray[np.float32]], NDArray[np.float32]]
"""From the logits [N, K] of one call to those with noise."""


def lines() -> Iterator[Line]:
    """Yield a line for each kind of noise, and one for a model that is also broken."""
    for truth, noise in (
        ("about 2 % of labels change when it is asked again", of_each(0.0024)),
        ("about a third do", of_each(0.05)),
        ("one answer of 1,000 is another's", rarely(0.001)),
        ("one answer of 300 is another's", rarely(0.003)),
        ("every call is scaled by chance", of_each_call),
        ("one of two machines answers each call", of_two_machines),
    ):
        wrong = verdict_is("FAIL", invariant, noise)
        yield Line("FAIL, quarter turns", f"no rotation changes it, {truth}", wrong, cost=COST)
    for truth, noise in (
        ("about 2 % of labels change when it is asked again", of_each(0.0024)),
        ("one answer of 1,000 is another's", rarely(0.001)),
        ("one of two machines answers each call", of_two_machines),
    ):
        broken = verdict_is_not("FAIL", tenth_lost, noise)
        truth = f"rotating changes a tenth of the labels, {truth}"
        yield Line("no FAIL, quarter turns", truth, broken, 0.1, COST)


def verdict_is(verdict: Verdict, classify: Classifier, noise: Noise) -> Simulation:
    """Audit a model with noise on new images."""

    def wrong(random: np.random.Generator) -> bool:
        images = random.integers(0, 256, (IMAGES, 1, 4, 4), dtype=np.uint8)
        asked = Thresholds(class_agreement=None)
        orbit = evaluate_orbit(noisy(classify, noise, random), images, ELEMENTS)
        floor = noise_floor(orbit, asked.confidence)
        return judge(orbit_figures(orbit, None, asked), floor, asked, None).verdict == verdict

    return wrong


def verdict_is_not(verdict: Verdict, classify: Classifier, noise: Noise) -> Simulation:
    """The opposite."""
    audit = verdict_is(verdict, classify, noise)
    return lambda random: not audit(random)


def invariant(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Is an image bright or dark? Exact in any order."""
    level = images.sum(axis=(1, 2, 3), dtype=np.int64) / images[0].size / 255 - 0.5
    return np.stack([-level, level], axis=1).astype(np.float32)


def tenth_lost(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The same, but images whose upper left corner is very bright are answered wrongly."""
    logits = invariant(images)
    return np.where(images[:, :1, 0, 0] > 246, logits[:, ::-1], logits)


def noisy(classify: Classifier, noise: Noise, random: np.random.Generator) -> Classifier:
    """The classifier with noise, which is another for each call, in whatever order these come."""
    seed, lock = int(random.integers(2**32)), threading.Lock()
    asked: Counter[int] = Counter()

    def answer(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        name = zlib.crc32(images.tobytes())
        with lock:
            asked[name] += 1
            call = asked[name]
        return noise(np.random.default_rng((seed, name, call)), classify(images))

    return answer


def of_each(size: float) -> Noise:
    """Normal noise of every logit."""
    return lambda random, logits: logits + random.normal(0, size, logits.shape).astype(np.float32)


def rarely(chance: float) -> Noise:
    """Few answers are exchanged, the others have equal bits."""

    def noise(random: np.random.Generator, logits: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.where(random.random((len(logits), 1)) < chance, logits[:, ::-1], logits)

    return noise


def of_each_call(random: np.random.Generator, logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """All logits of a call are scaled alike."""
    return logits * np.float32(random.normal(1, 0.1))


def of_two_machines(
    random: np.random.Generator, logits: NDArray[np.float32]
) -> NDArray[np.float32]:
    """The other machine has another threshold."""
    return logits + np.array([0.02 * random.integers(2), 0], np.float32)
