"""Audits from end to end, from images and a classifier to the report's verdict."""

from collections.abc import Iterator
from typing import Final

import numpy as np
from numpy.typing import NDArray

from artifact.audit_set import AuditSet
from artifact.identity import ModelIdentity
from artifact.values import Verdict
from audit import (
    AnglePlan,
    AngleThresholds,
    ModelUnderTest,
    ResolvedOptions,
    Thresholds,
    run_pipeline,
)
from benchmarks.coverage.line import Line, Simulation
from benchmarks.coverage.samples import Population, Sample, parts, plain, sides
from benchmarks.coverage.verdicts import CLASS, JUST

SIDE: Final = 12
COST: Final = 8
MODEL: Final = ModelIdentity(name="known", version=1, sha256="0" * 64, group="C4", precision="fp32")


def lines() -> Iterator[Line]:
    """Yield lines of both parts."""
    for angles, name in ((False, "quarter turns"), (True, "angles")):
        rate = 0.95 - JUST
        for population, truth in (
            (plain(72, rate), f"{rate:.2%} of 72 images keep their label"),
            (parts(72, rate, most=3), f"{rate:.2%} of 72 parts do, one to three images each"),
        ):
            truth = f"the whole audit, {truth}"
            yield Line(f"PASS, {name}", truth, ends("PASS", population, 0.95, angles), cost=COST)
        backs = sides(100, 0.5, CLASS - JUST)
        truth = "the whole audit, backs of parts keep 79.99 %; of all 80 % is asked"
        yield Line(f"PASS, {name}", truth, ends("PASS", backs, 0.8, angles), cost=COST)
        truth = "the whole audit, 95.00% of 144 images keep their label"
        met = ends("FAIL", plain(144, 0.95), 0.95, angles)
        yield Line(f"FAIL, {name}", truth, met, cost=COST)
        kept = ends("INCONCLUSIVE", plain(400, 0.99), 0.95, angles)
        truth = "the whole audit, 99 % of 400 images keep their label, 95 % is asked"
        yield Line(f"no PASS, {name}", truth, kept, 0.1, COST)


def ends(verdict: Verdict, population: Population, agreement: float, angles: bool) -> Simulation:
    """Audit images of a population; the verdict is that at angles where these are asked for."""

    def wrong(random: np.random.Generator) -> bool:
        sample = population(random)
        images = AuditSet(
            pictures(random, sample),
            sample.labels if sample.told else None,
            groups=sample.units.of,
        )
        each = CLASS if sample.told else None
        options = ResolvedOptions(
            "C4",
            Thresholds(agreement=agreement, class_agreement=each),
            AnglePlan(8) if angles else None,
            AngleThresholds(agreement=agreement, class_agreement=each),
            pictures=False,
        )
        report = run_pipeline(ModelUnderTest(MODEL, classify), images, options, source="simulated")
        found = report.angles.verdict if report.angles else report.verdict
        return found == verdict

    return wrong


def pictures(random: np.random.Generator, sample: Sample) -> NDArray[np.uint8]:
    """Dim noise uint8 [N, 1, n, n], a square whose grey says the class, and a spot above it.

    The spot is in images that lose their label where `classify` sees it below.
    """
    count = len(sample.labels)
    images = random.integers(0, 40, (count, 1, SIDE, SIDE), dtype=np.uint8)
    images[:, :, 4:8, 4:8] = (60 * (1 + sample.labels)).astype(np.uint8)[:, None, None, None]
    images[np.flatnonzero(~sample.kept), :, 2:4, 5:7] = 255
    return images


def classify(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """The class of the square, and the next one where there is a spot below it."""
    labels = np.rint(images[:, 0, 5:7, 5:7].mean(axis=(1, 2)) / 60).astype(np.int64) - 1
    upside_down = images[:, 0, 8:10, 5:7].mean(axis=(1, 2)) > 130
    # They vary from image to image by much more than what a lost label changes.
    logits = np.repeat(labels.astype(np.float32)[:, None], 3, axis=1)
    logits[np.arange(len(images)), (labels + upside_down) % 3] += np.float32(1e-5)
    return logits
