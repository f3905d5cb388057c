"""What a version of a model has done since it was loaded: the one place where that is counted."""

import time
from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import accumulate
from typing import Final

from service.engine import Batch
from service.errors import Reason

SECONDS: Final = (
    *(0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1),
    *(0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0),
)
"""Bounds of durations: from a graph of a small image to the longest wait that is allowed."""


class Histogram:
    """Observations, counted between fixed bounds; one costs a search of a short tuple.

    One thread writes. Others read without a lock, and see each observation counted or not.

    Parameters
    ----------
    bounds
        Upper bounds, inclusive and ascending; what is larger is counted behind the last.
    """

    def __init__(self, bounds: tuple[float, ...]) -> None:
        self.bounds = bounds
        self.sum = 0.0
        self._counts = [0] * (len(bounds) + 1)

    def observe(self, value: float, times: int = 1) -> None:
        """Count a value, so many times."""
        self._counts[bisect_left(self.bounds, value)] += times
        self.sum += times * value

    @property
    def count(self) -> int:
        """How many observations there were."""
        return sum(self._counts)

    @property
    def buckets(self) -> list[tuple[str, int]]:
        """The observations up to each bound, and all, as Prometheus writes them."""
        names = (*map(str, self.bounds), "+Inf")
        return list(zip(names, accumulate(self._counts), strict=True))


@dataclass
class Duration:
    """How often something happened, and nanoseconds in all."""

    count: int = 0
    ns: int = 0

    def add(self, seconds: float, count: int = 1) -> None:
        """Count occurrences that took so long together."""
        self.count += count
        self.ns += round(1e9 * seconds)


def _durations() -> Histogram:
    return Histogram(SECONDS)


@dataclass
class Statistics:
    """Counters of one version, and an observer of its engine.

    Requests are counted on the event loop, batches on the inference thread: each counter has one
    writer, and none needs a lock.

    Attributes
    ----------
    success, refusals
        Requests that were answered, and those that were not by reason, with the time from their
        head to their answer.
    latency
        The seconds of those that were answered.
    inferences
        Images in them.
    last_inference
        When images were last handed to the engine, in milliseconds since 1970; 0 if none were.
    queue, waits
        The waits of requests for their batches.
    compute
        The runs of the graph, each counted for every request in it, as Triton counts.
    batches, runs
        The runs, by their size, and their seconds.
    audited
        Images of audits, with the time that the graph ran over them.
    shadowed
        Images of shadow audits, with the time that the engine's thread spent on them.
    """

    success: Duration = field(default_factory=Duration)
    refusals: dict[Reason, Duration] = field(default_factory=dict)
    latency: Histogram = field(default_factory=_durations)
    inferences: int = 0
    last_inference: int = 0
    queue: Duration = field(default_factory=Duration)
    waits: Histogram = field(default_factory=_durations)
    compute: Duration = field(default_factory=Duration)
    batches: dict[int, Duration] = field(default_factory=dict)
    runs: Histogram = field(default_factory=_durations)
    audited: Duration = field(default_factory=Duration)
    shadowed: Duration = field(default_factory=Duration)

    @property
    def fail(self) -> Duration:
        """All requests that were refused."""
        refusals = list(self.refusals.values())
        return Duration(sum(each.count for each in refusals), sum(each.ns for each in refusals))

    def handed_over(self) -> None:
        """Note that a request's images go to the engine."""
        self.last_inference = time.time_ns() // 1_000_000

    def answered(self, seconds: float, images: int) -> None:
        """Count a request that got its answer."""
        self.success.add(seconds)
        self.latency.observe(seconds)
        self.inferences += images

    def refused(self, seconds: float, reason: Reason) -> None:
        """Count a request that did not."""
        self.refusals.setdefault(reason, Duration()).add(seconds)

    def ran(self, batch: Batch) -> None:
        """Count a run of the graph."""
        seconds, waits = batch.compute_seconds, batch.queue_seconds
        if batch.priority == "audit":
            self.audited.add(seconds, batch.rows)
            return
        if batch.priority == "idle":
            self.shadowed.add(seconds, batch.rows)
            return
        self.queue.add(sum(waits), len(waits))
        for wait in waits:
            self.waits.observe(wait)
        self.compute.add(seconds * len(waits), len(waits))
        self.batches.setdefault(batch.rows, Duration()).add(seconds)
        self.runs.observe(seconds)


@dataclass
class Loads:
    """How often a version was loaded, and how often it was refused."""

    served: int = 0
    refused: int = 0
