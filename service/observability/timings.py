"""Where the time of one request went, as the `Server-Timing` header (W3C Server Timing)."""

import time
from collections.abc import Iterator
from contextlib import contextmanager


class Timings:
    """Durations of the stages of one request, in the order in which they ended."""

    def __init__(self) -> None:
        self._began = time.perf_counter()
        self._stages: dict[str, float] = {}

    @contextmanager
    def stage(self, name: str) -> Iterator[None]:
        """Time a stage; stages of one name add up."""
        began = time.perf_counter()
        try:
            yield
        finally:
            self._stages[name] = self._stages.get(name, 0.0) + time.perf_counter() - began

    @property
    def total(self) -> float:
        """Seconds since the request began."""
        return time.perf_counter() - self._began

    def header(self) -> str:
        """Write the stages and the total, in milliseconds."""
        durations = {**self._stages, "total": self.total}
        return ", ".join(f"{name};dur={1000 * value:.2f}" for name, value in durations.items())
