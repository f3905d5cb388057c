"""One timer for many things that are looked at now and then."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class TimeoutScanner(Generic[T]):
    """Looks at everything that has been added and not yet discarded, again and again.

    A timer of its own would cost each request more than a place in a set does. It is used on one
    event loop at a time, and has a timer only while there is anything to look at.

    Parameters
    ----------
    look
        Called with each thing, on the event loop.
    seconds
        Between two looks.
    """

    def __init__(self, look: Callable[[T], None], seconds: float) -> None:
        self._look, self._seconds = look, seconds
        self._things: set[T] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, thing: T) -> None:
        """Look at a thing from now on."""
        self._things.add(thing)
        if self._loop is None or self._loop.is_closed():
            self._loop = asyncio.get_running_loop()
            self._loop.call_later(self._seconds, self._turn)

    def discard(self, thing: T) -> None:
        """Look at a thing no longer."""
        self._things.discard(thing)

    def _turn(self) -> None:
        for thing in tuple(self._things):
            self._look(thing)
        if self._things:
            asyncio.get_running_loop().call_later(self._seconds, self._turn)
        else:
            self._loop = None
