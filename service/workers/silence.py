"""How long workers have said nothing, and which of them hang."""

import math
import time
from collections.abc import Callable, Iterable
from typing import Final

from service.workers.questions import Worker

LOOK_SECONDS: Final = 1.0
"""Longest pause between two looks."""

_STARTING: Final = 10
"""How many times longer a worker may be silent whose device is still being started."""


class Silence:
    """Finds workers whose event loop is stuck, or whose process is stopped.

    A worker's event loop gives a sign of life all the time; a model that is loaded and a graph that
    computes do so on other threads. Silence is counted from look to look, and as no more than the
    longest pause between two: what stops the one who looks too, such as a machine that is suspended
    or much too busy, is held against nobody.

    Parameters
    ----------
    seconds
        How long a worker may be silent; for ever if 0.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds or math.inf, clock
        self._looked = clock()

    def look(self, workers: Iterable[Worker]) -> list[Worker]:
        """Return those that have been silent for too long, each once."""
        now = self._clock()
        passed = min(now - self._looked, LOOK_SECONDS)
        self._looked = now
        return [each for each in workers if self._add(each, passed)]

    def _add(self, worker: Worker, passed: float) -> bool:
        longest = self._seconds if worker.heard else _STARTING * self._seconds
        before = worker.silent
        worker.silent += passed
        return before <= longest < worker.silent
