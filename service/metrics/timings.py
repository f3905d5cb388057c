"""Where the time of one request went, as the `Server-Timing` header (W3C Server Timing)."""

import time
from types import TracebackType
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

    __slots__ = ("began", "stages")

    def __init__(self) -> None:
        self.began = time.perf_counter()
        self.stages: list[Stage] = []

    def stage(self, name: str) -> "_Timed":
        """Time what is done inside of the context that is returned; stages of one name add up."""
        return _Timed(self.stages, name)

    def add_engine(self, began: float, queued: float, computed: float) -> None:
        """Note how long images waited for the engine, and how long it computed if it did."""
        if computed:
            self.stages.append(Stage("queue", began, queued))
            self.stages.append(Stage("inference", began + queued, computed))
        else:
            self.stages.append(Stage("queue", began, time.perf_counter() - began))

    @property
    def total(self) -> float:
        """Seconds since the request began."""
        return time.perf_counter() - self.began

    def header(self) -> str:
        """Write the stages and the total, in milliseconds."""
        durations = {name: seconds for name, _, seconds in self.stages}
        if len(durations) < len(self.stages):
            durations = dict.fromkeys(durations, 0.0)
            for name, _, seconds in self.stages:
                durations[name] += seconds
        durations["total"] = self.total
        return ", ".join([f"{name};dur={1000 * s:.2f}" for name, s in durations.items()])


class _Timed:
    """A stage that goes on; a generator as a context manager would take three times as long."""

    __slots__ = ("_began", "_name", "_stages")

    def __init__(self, stages: list[Stage], name: str) -> None:
        self._stages, self._name = stages, name

    def __enter__(self) -> None:
        self._began = time.perf_counter()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        began = self._began
        self._stages.append(Stage(self._name, began, time.perf_counter() - began))
