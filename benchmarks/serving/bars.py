"""What the service is held to, each as a ratio within a round, then the median over rounds."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from benchmarks.serving.endurance import Memory
from benchmarks.serving.rounds import (
    BARE,
    LARGE,
    LARGE_CONNECTIONS,
    MEMORY,
    Case,
    Figure,
    Round,
)
from benchmarks.serving.systems import JSON_LINES, LINES, NAIVE, OURS, TRITON

BINARY, PNG, RAW = "OIP binary", "PNG", "raw pixels"
READY_SECONDS = 3.0


@dataclass(frozen=True)
class Bar:
    """One bar: what was measured (None: it was not), and what is required."""

    name: str
    measured: float | None
    kind: Literal["at least", "at most"]
    required: float

    @property
    def met(self) -> bool:
        """Say whether it was measured and is as required."""
        if self.measured is None:
            return False
        if self.kind == "at least":
            return self.measured >= self.required
        return self.measured <= self.required

    def __str__(self) -> str:
        found = "not measured" if self.measured is None else f"{self.measured:.3f}"
        verdict = "met" if self.met else "NOT met"
        return f"{self.name}: {found}, {self.kind} {self.required:.2f} required, {verdict}"


def bars(rounds: Sequence[Round], memory: Memory | None, ready: Sequence[float]) -> list[Bar]:
    """Hold what was measured against every bar."""
    binary, naive = Case(OURS, BINARY, 1, 32), Case(NAIVE, RAW, 1, 32)
    lone, naive_lone = Case(OURS, BINARY, 1, 1), Case(NAIVE, RAW, 1, 1)
    large = Case(OURS, BINARY, LARGE, LARGE_CONNECTIONS)
    session, triton = Case(BARE, MEMORY, LARGE, 1), Case(TRITON, BINARY, 1, 32)
    found = [
        Bar(
            "OIP binary at 32 connections, of Triton's",
            rates(rounds, binary, triton),
            "at least",
            1.2,
        ),
        Bar(
            "OIP binary at 32 connections, of the naive handler's",
            rates(rounds, binary, naive),
            "at least",
            1.4,
        ),
        Bar(
            "p50 at 1 connection, OIP binary, of the naive handler's",
            _latencies(rounds, lone, naive_lone),
            "at most",
            1.0,
        ),
        Bar(
            f"images/s in requests of {LARGE}, of the bare session's",
            rates(rounds, large, session),
            "at least",
            0.9,
        ),
        Bar(
            "PNG at 32 connections, of OIP binary",
            rates(rounds, Case(OURS, PNG, 1, 32), binary),
            "at least",
            0.7,
        ),
        *(
            Bar(
                f"OIP binary at 32 connections with {lines} a request, of without",
                rates(rounds, Case(system, BINARY, 1, 32), binary),
                "at least",
                0.95,
            )
            for system, lines in ((LINES, "a log line"), (JSON_LINES, "a log line of JSON"))
        ),
    ]
    return [*found, _memory(memory), _readiness(ready)]


def _memory(memory: Memory | None) -> Bar:
    if memory is None:
        return Bar("memory after 200,000 requests, of that after 20,000", None, "at most", 1.05)
    name = f"memory after {memory.late:,} requests, of that after {memory.early:,}"
    ratio = memory.late_bytes / memory.early_bytes
    return Bar(f"{name} ({memory.format})", ratio, "at most", 1.05)


def _readiness(ready: Sequence[float]) -> Bar:
    name = f"seconds from start to readiness, slowest of {len(ready)}"
    return Bar(name, max(ready, default=None), "at most", READY_SECONDS)


def rates(rounds: Sequence[Round], one: Case, other: Case) -> float | None:
    """Return how many times another case's images a second one has, the median over rounds."""
    ratios = [a.images_per_second / b.images_per_second for a, b in _pairs(rounds, one, other)]
    return median(ratios) if ratios else None


def _latencies(rounds: Sequence[Round], one: Case, other: Case) -> float | None:
    ratios = [a.p50 / b.p50 for a, b in _pairs(rounds, one, other)]
    return median(ratios) if ratios else None


def _pairs(rounds: Sequence[Round], one: Case, other: Case) -> Iterator[tuple[Figure, Figure]]:
    return ((r[one], r[other]) for r in rounds if one in r and other in r)
