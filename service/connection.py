"""HTTP/1.1 as uvicorn speaks it, for clients that speak it badly or not at all, and quickly."""

import asyncio
from collections.abc import Collection, Iterable
from typing import ClassVar, Final

from starlette.responses import JSONResponse
from starlette.types import Scope
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service.errors import ErrorAnswer

_EXTENSION: Final = "orbitserve.wire"


class Wire:
    """What a request may know of its connection, beyond what ASGI says.

    Attributes
    ----------
    under_way
        All requests that have begun on any connection, and not ended. A socket is read before any
        request that was read in the same turn of the event loop is handled.
    """

    __slots__ = ("_connection", "_cycle", "under_way")

    def __init__(self, connection: "_Connection") -> None:
        self.under_way: Collection[object] = connection.tasks
        self._connection, self._cycle = connection, connection.cycle

    @classmethod
    def of(cls, scope: Scope) -> "Wire | None":
        """Return the wire of a call, or None if another server than this project's took it."""
        found: Wire | None = scope.get("extensions", {}).get(_EXTENSION)
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


class _Connection(HttpToolsProtocol):
    """uvicorn's protocol, changed in four ways.

    A connection that is opened, or has begun a request, and does not send the whole head in time
    is closed: uvicorn alone would hold it for ever. What is no HTTP is refused in JSON. A request
    has a `Wire`. And a connection has one timer for the time that it may be idle, in place of one
    a request.
    """

    head_seconds: ClassVar[float]

    _head_timer: asyncio.TimerHandle | None = None
    _awaits_head = True
    _idle_timer: asyncio.TimerHandle | None = None
    _idle_since = 0.0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_wait()
        if self._idle_timer is not None:
            self._idle_timer.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        super().data_received(data)
        if self._awaits_head:  # most heads come whole, and need no timer
            self._await_head()

    def on_message_begin(self) -> None:
        self._awaits_head = True
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._awaits_head = False
        self._end_wait()
        super().on_headers_complete()
        scope: Scope = self.scope  # type: ignore[assignment]
        scope["extensions"] = {_EXTENSION: Wire(self)}

    def on_response_complete(self) -> None:
        if self.pipeline or self.transport.is_closing():
            super().on_response_complete()
            return
        self.server_state.total_requests += 1
        self.flow.resume_reading()
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._end_idle)

    def send_400_response(self, msg: str) -> None:
        sentence = "The request is not HTTP/1.1 that can be read; well-formed HTTP is accepted."
        response = JSONResponse(ErrorAnswer(error=sentence).model_dump(), 400)
        head = [(b"connection", b"close"), *self.server_state.default_headers]
        lines = [name + b": " + value + b"\r\n" for name, value in head + response.raw_headers]
        self.transport.write(b"".join([STATUS_LINE[400], *lines, b"\r\n", response.body]))
        self.transport.close()

    def _await_head(self) -> None:
        if self._head_timer is None and not self.transport.is_closing():
            close = self.transport.close
            self._head_timer = self.loop.call_later(self.head_seconds, close)

    def _end_wait(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _end_idle(self) -> None:
        """Close a connection that has been idle for too long, and look again if it has not."""
        self._idle_timer = None
        if self._awaits_head or not self.cycle.response_complete:
            return  # its next answer sets the timer
        left = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left <= 0:
            self.transport.close()
        else:
            self._idle_timer = self.loop.call_later(left, self._end_idle)


def protocol(head_seconds: float) -> type[HttpToolsProtocol]:
    """Return the protocol, with a bound on how long the head of a request may take to arrive."""

    class Bounded(_Connection):
        pass

    Bounded.head_seconds = head_seconds
    return Bounded
