"""Clients that send too slowly or hang up: they are looked after from one place, now and then."""

import asyncio
import time

from service.exchange import LOOK_AFTER, Exchange


class Watch:
    """Looks after the clients of all exchanges that are open, with one timer for all of them.

    Most requests are answered before it looks for the first time, and cost no more than a place
    in a set.
    """

    def __init__(self) -> None:
        self._open: set[Exchange] = set()
        self._loop: asyncio.AbstractEventLoop | None = None

    def add(self, exchange: Exchange) -> None:
        """Look after the client of an exchange, which is handled on the running event loop."""
        self._open.add(exchange)
        loop = asyncio.get_running_loop()
        if loop is not self._loop:
            self._loop = loop
            loop.call_later(LOOK_AFTER, self._look)

    def discard(self, exchange: Exchange) -> None:
        """Look no longer after the client of an exchange that has ended."""
        self._open.discard(exchange)
        exchange.end()

    def _look(self) -> None:
        now = time.monotonic()
        for exchange in tuple(self._open):
            exchange.look(now)
        if self._open:
            asyncio.get_running_loop().call_later(LOOK_AFTER, self._look)
        else:
            self._loop = None
