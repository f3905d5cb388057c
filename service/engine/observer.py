"""What the engine tells those who watch it: one record a batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

Priority = Literal["requests", "audit", "idle"]


@dataclass(slots=True)
class Batch:
    """One run of a graph.

    Attributes
    ----------
    priority
        Whether it served requests, one batch of an audit, or work that waits for idle moments.
    rows
        Images in it, without padding.
    queue_seconds
        How long each request in it had waited.
    compute_seconds
        How long the graph ran, repetitions after a failure included.
    """

    priority: Priority
    rows: int
    queue_seconds: Sequence[float]
    compute_seconds: float


@dataclass(slots=True)
class Timing:
    """Where the time of one request went; the engine fills it in before the answer is there.

    Attributes
    ----------
    queue_seconds
        Until its first image was computed.
    compute_seconds
        How long the batches that it was in ran; 0 if it was in none.
    """

    queue_seconds: float = 0.0
    compute_seconds: float = 0.0

    def ran(self, waited: float, seconds: float) -> None:
        """Note a batch."""
        if not self.compute_seconds:
            self.queue_seconds = waited
        self.compute_seconds += seconds


class Observer(Protocol):
    """Watches one engine.

    It is called on the inference thread and on event loops, so it must be thread-safe, and as
    quick as a counter: whoever calls waits. What it raises is logged and goes no further.
    """

    def ran(self, batch: Batch) -> None:
        """Note a batch that has been computed."""
