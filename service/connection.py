"""HTTP/1.1 as uvicorn speaks it, for clients that speak it badly or not at all, and quickly."""

import asyncio
from typing import Any, Final

from starlette.responses import JSONResponse
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from service.errors import ErrorAnswer

UNDER_WAY: Final = "orbitserve.under_way"
"""Extension of the ASGI scope: all requests that have begun, on any connection, and not ended."""

_HEAD: Final = b"HTTP/1.1 "


class _Joining:
    """A transport that sends the head of an answer together with what is written right after it.

    uvicorn writes them one after the other, and each write of uvloop is a call of the system: the
    first would wake a client that can do nothing yet.
    """

    __slots__ = ("_flush_later", "_head", "_transport", "_write")

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        self._transport = transport
        self._write = transport.write
        self._flush_later = loop.call_soon
        self._head = b""

    def write(self, data: bytes) -> None:
        if self._head:
            head, self._head = self._head, b""
            self._write(head + data)
        elif data.startswith(_HEAD):
            self._head = data
            self._flush_later(self._flush)  # an answer may have no body, or a body that comes later
        else:
            self._write(data)

    def close(self) -> None:
        self._flush()
        self._transport.close()

    def _flush(self) -> None:
        if self._head:
            self.write(b"")

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


def protocol(head_seconds: float) -> type[HttpToolsProtocol]:
    """Return uvicorn's protocol, changed in four ways.

    A connection that is opened, or has begun a request, and does not send the whole head in time
    is closed: uvicorn alone would hold it for ever. What is no HTTP is refused in JSON. The head of
    an answer is sent together with its body. And each request can see which others there are
    (`UNDER_WAY`): a socket is read before any request that was read in the same turn is handled.
    """

    class Protocol(HttpToolsProtocol):
        _head_timer: asyncio.TimerHandle | None = None
        _awaits_head = True

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(_Joining(transport, self.loop))  # type: ignore[arg-type]
            self._await_head()

        def connection_lost(self, exc: Exception | None) -> None:
            self._end_wait()
            super().connection_lost(exc)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            if self._awaits_head:  # most heads come whole, and need no timer
                self._await_head()

        def on_message_begin(self) -> None:
            self._awaits_head = True
            super().on_message_begin()
            self.scope["extensions"] = {UNDER_WAY: self.tasks}

        def on_headers_complete(self) -> None:
            self._awaits_head = False
            self._end_wait()
            super().on_headers_complete()

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
                self._head_timer = self.loop.call_later(head_seconds, close)

        def _end_wait(self) -> None:
            if self._head_timer is not None:
                self._head_timer.cancel()
                self._head_timer = None

    return Protocol
