"""Work on threads in turns: some of it runs at a time, some waits, and more is refused."""

from collections.abc import Callable
from typing import Final, TypeVar, TypeVarTuple

from anyio import CapacityLimiter, to_thread

from service.errors import BusyError

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_PAUSE: Final = 5
"""Seconds after which whoever is refused may try again."""


class Turns:
    """Runs one kind of work.

    Parameters
    ----------
    what
        What waits, in the plural, for the sentence of a refusal.
    at_once
        How many run at a time.
    waiting
        How many more may wait.
    """

    def __init__(self, what: str, at_once: int, waiting: int) -> None:
        self._what, self._waiting = what, waiting
        self._limiter, self._most = CapacityLimiter(at_once), at_once + waiting
        self._under_way = 0

    def check_room(self) -> None:
        """Raise BusyError if as many wait as may."""
        if self._under_way >= self._most:
            raise BusyError(
                f"{self._waiting} {self._what} wait, and no more may; try again later.", _PAUSE
            )

    async def run(self, function: Callable[[*Ts], T], *arguments: *Ts) -> T:
        """Call a function on a thread when it is its turn, whether there was room or not."""
        self._under_way += 1  # and not the limiter's count, which lags behind
        try:
            return await to_thread.run_sync(function, *arguments, limiter=self._limiter)
        finally:
            self._under_way -= 1
