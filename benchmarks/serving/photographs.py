"""A network of ResNet-50's size behind each server, asked about JPEG files and their pixels."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from benchmarks.serving.model import ModelUnderTest, open_model_under_test
from benchmarks.serving.resnet import photographs, prepare_model
from benchmarks.serving.rounds import Round, Run, say
from benchmarks.serving.systems import System
from imaging import decode, fit

CONNECTIONS = (1, 8)
"""The network takes milliseconds an image: a few connections keep it busy."""


@dataclass(frozen=True)
class Photographs:
    """What was measured with photographs.

    Attributes
    ----------
    decoding, fitting
        Seconds of one core that a file takes, medians over all.
    """

    rounds: Sequence[Round]
    decoding: float
    fitting: float


def prepare(folder: Path, threads: int | None) -> ModelUnderTest:
    """Make the model and its photographs, and open them.

    Raises
    ------
    ModelError
        If it cannot be made.
    """
    say("photographs: the model, which the first time takes some minutes")
    return open_model_under_test(prepare_model(folder), threads, photographs())


def measure(run: Run, systems: list[System], rounds: int) -> Photographs:
    """Measure the systems in rounds, and what decoding and fitting cost."""
    run.install(systems)
    found = []
    for number in range(rounds):
        say(f"photographs: round {number + 1} of {rounds}")
        found.append(run.round(systems))
    return Photographs(found, *_costs(run.under_test))


def _costs(under_test: ModelUnderTest) -> tuple[float, float]:
    spec = under_test.card.input
    decoding, fitting = [], []
    for file in (*under_test.files[:1], *under_test.files):  # what is first is warmed by it
        began = time.perf_counter()
        pixels = decode(file, spec.channels)
        decoded = time.perf_counter()
        fit(pixels, spec.fit)
        decoding.append(decoded - began)
        fitting.append(time.perf_counter() - decoded)
    return median(decoding[1:]), median(fitting[1:])
