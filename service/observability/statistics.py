"""What a version of a model has done since it was loaded, as the Open Inference Protocol counts."""

import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol


class BatchRecord(Protocol):
    """One run of a graph, as the engine tells it."""

    @property
    def rows(self) -> int:
        """Images in it, without padding."""

    @property
    def queue_seconds(self) -> Sequence[float]:
        """How long each request in it had waited."""

    @property
    def compute_seconds(self) -> float:
        """How long the graph ran."""


@dataclass
class Duration:
    """How often something happened, and nanoseconds in all."""

    count: int = 0
    ns: int = 0

    def add(self, ns: int, count: int = 1) -> None:
        """Count occurrences that took `ns` together."""
        self.count += count
        self.ns += ns


@dataclass
class Statistics:
    """Counters of one version; requests are counted on the event loop, batches on any thread.

    Attributes
    ----------
    success, fail
        Requests that the engine answered, or did not, with the time each was in its hands.
    inferences
        Images that were classified.
    last_inference
        When the last request was handed over, in milliseconds since 1970; 0 if none was.
    queue, compute
        The waits of requests, and the runs of the graph.
    batches
        The runs, by their size.
    """

    success: Duration = field(default_factory=Duration)
    fail: Duration = field(default_factory=Duration)
    inferences: int = 0
    last_inference: int = 0
    queue: Duration = field(default_factory=Duration)
    compute: Duration = field(default_factory=Duration)
    batches: dict[int, Duration] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock, repr=False)

    def began(self) -> int:
        """Note that a request is handed over; return the clock for `ended`."""
        self.last_inference = time.time_ns() // 1_000_000
        return time.perf_counter_ns()

    def ended(self, began: int, images: int | None) -> None:
        """Count a request as answered with so many images, or as failed if None."""
        ns = time.perf_counter_ns() - began
        if images is None:
            self.fail.add(ns)
        else:
            self.success.add(ns)
            self.inferences += images

    def ran(self, batch: BatchRecord) -> None:
        """Count a run of the graph."""
        ns = round(1e9 * batch.compute_seconds)
        with self._lock:
            self.queue.add(round(1e9 * sum(batch.queue_seconds)), len(batch.queue_seconds))
            self.compute.add(ns)
            self.batches.setdefault(batch.rows, Duration()).add(ns)
