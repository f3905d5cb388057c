"""Where the time of one request went, as the `Server-Timing` header (W3C Server Timing)."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple


class Stage(NamedTuple):
    """One stretch of a request: its name, a point of `time.perf_counter`, and seconds."""

    name: str
    began: float
    seconds: float


class Timings:
    """The stages of one request, in the order in which they ended.

    Attributes
    ----------
    began
        When the request did, by `time.perf_counter`.
    """

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.stages: list[Stage] = []

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage; stages of one name add up."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self.stages.append(Stage(name, began, time.perf_counter() - began))

    @property
    def total(self) -> float:
        """Seconds since the request began."""
        return time.perf_counter() - self.began

    def header(self) -> str:
        """Write the stages and the total, in milliseconds."""
        durations: dict[str, float] = {}
        for name, _, seconds in self.stages:
            durations[name] = durations.get(name, 0.0) + seconds
        durations["total"] = self.total
        return ", ".join(f"{name};dur={1000 * value:.2f}" for name, value in durations.items())
