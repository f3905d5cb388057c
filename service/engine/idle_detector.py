"""Asking the event loop for a moment in which idle work is in nobody's way.

That nothing waits does not mean that nothing comes: the event loop may still be reading it. So the
inference thread asks it, and sleeps until it has had nothing to do for some turns.
"""

import asyncio
from collections.abc import Callable
from threading import Condition
from typing import Final

_TURNS: Final = 3
"""Of the event loop, until what it has read when the first begins has got to the queue."""

_ASK_AGAIN: Final = 0.01
"""Seconds, after the event loop was found busy."""


class IdleDetector:
    """What the event loop was asked, and whether it has answered.

    Parameters
    ----------
    changed
        Held by whoever calls a method, `ask_by` apart; notified when a moment is granted.
    pause
        Seconds until work may run, 0 if it may now, None if none waits.
    busy
        Whether anything is run or waits to be.

    Attributes
    ----------
    loop
        The event loop that is asked: that of the last request.
    asked
        Whether it has yet to answer; it is the one that looks at the clock meanwhile.
    """

    def __init__(
        self, changed: Condition, pause: Callable[[], float | None], busy: Callable[[], bool]
    ) -> None:
        self.loop: asyncio.AbstractEventLoop | None = None
        self.asked = False
        self._changed, self._pause, self._busy = changed, pause, busy
        self._granted = False

    def ask_by(self, loop: asyncio.AbstractEventLoop) -> None:
        """Ask another event loop from now on: the last one may never answer."""
        self.loop, self.asked = loop, False

    def ask(self) -> None:
        """Ask for a moment, if none is asked for or granted; without a loop it is granted."""
        if self.asked or self._granted:
            return
        try:
            if self.loop is not None:
                self.loop.call_soon_threadsafe(self._look, _TURNS)
                self.asked = True
                return
        except RuntimeError:  # it is closed
            self.loop = None
        self._granted = True

    def take(self) -> bool:
        """Return whether a moment was granted, which is used up by that."""
        granted, self._granted = self._granted, False
        return granted

    def _look(self, turns: int) -> None:
        """On the event loop: grant the moment if nothing comes within so many of its turns."""
        loop = asyncio.get_running_loop()
        if turns:
            loop.call_soon(self._look, turns - 1)
            return
        with self._changed:
            pause = self._pause()
            self._granted = pause == 0 and not self._busy()
            self.asked = pause is not None and not self._granted
            if self._granted:
                self._changed.notify()
        if self.asked:
            loop.call_later(max(pause or 0, _ASK_AGAIN), self._look, _TURNS)
