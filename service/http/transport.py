"""The connection below requests: when it is read, how it ends, and what they may know of it."""

import asyncio
from collections import deque
from collections.abc import Collection, Iterable
from typing import Any, Final

from starlette.types import Scope
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from service.errors import ServiceError

EXTENSION: Final = "orbitserve.transport"
"""Under this name a call's scope has its transport."""

_LINGER_SECONDS: Final = 2.0


class Transport:
    """What a request may know of its connection, beyond what ASGI says.

    Attributes
    ----------
    under_way
        All requests that have begun on any connection, and not ended. A socket is read before any
        request that was read in the same turn of the event loop is handled.
    fault
        Why the request is to be refused, once that is known: an application that takes it
        has to look at it before it does anything, and again after each part of the body.
    """

    __slots__ = ("_cycle", "fault", "under_way")

    def __init__(self, under_way: Collection[object], cycle: RequestResponseCycle) -> None:
        self.under_way = under_way
        self.fault: ServiceError | None = None
        self._cycle = cycle

    @classmethod
    def of(cls, scope: Scope) -> "Transport | None":
        """Return the transport of a call, or None if another server than this project's took it."""
        found: Transport | None = scope.get("extensions", {}).get(EXTENSION)
        return found

    def answer(self, headers: Iterable[tuple[bytes, bytes]], body: bytes) -> bool:
        """Write a whole answer of status 200 at once, if it can be; return whether it was.

        Through ASGI its head and its body would be two writes, each a call of the system, of which
        the first wakes a client that can do nothing yet.

        Parameters
        ----------
        headers
            All that it has, its length too, and fit to be written: they are not looked at.
        """
        cycle = self._cycle
        if cycle.response_started or cycle.disconnected or not cycle.keep_alive:
            return False
        if cycle.flow.write_paused:
            return False
        cycle.response_started = cycle.response_complete = True
        cycle.waiting_for_100_continue = False
        lines = [b"%b: %b\r\n" % header for header in (*cycle.default_headers, *headers)]
        cycle.transport.write(b"".join([STATUS_LINE[200], *lines, b"\r\n", body]))
        cycle.message_event.set()
        cycle.on_response()
        return True


class Flow(FlowControl):
    """uvicorn's, which does not let a connection be read from while requests wait on it.

    Otherwise a client that sends and never reads would have the server remember all it sends.
    """

    def __init__(self, transport: asyncio.Transport, waiting: deque[Any]) -> None:
        super().__init__(transport)
        self._waiting = waiting

    def resume_reading(self) -> None:
        """Read again, if nothing waits."""
        if self.read_paused and not self._waiting:
            super().resume_reading()


class Lingering:
    """A transport that is closed in two steps, for an answer to a client that still sends.

    The kernel resets a connection that is closed with bytes unread, and what was written to it may
    then never be seen. So the own side is closed first, and the other side's bytes are received,
    and dropped, for a moment.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)

    def close(self) -> None:
        """End what is written now, and the connection when the client ends it, or soon."""
        if self._transport.is_closing():
            return
        self._transport.write_eof()
        asyncio.get_running_loop().call_later(_LINGER_SECONDS, self._transport.abort)
