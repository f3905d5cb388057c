"""HTTP/1.1 as uvicorn speaks it, for clients that speak it badly or not at all, and quickly."""

import asyncio
from collections.abc import Collection, Iterable
from typing import Any, ClassVar, Final

import httptools
from starlette.types import Scope
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import (
    STATUS_LINE,
    HttpToolsProtocol,
    RequestResponseCycle,
)

from service.errors import ServiceError
from service.flow import Flow, Lingering
from service.head import (
    FRAMING,
    MAX_BYTES,
    MAX_FIELDS,
    FieldsTooLargeError,
    FramingError,
    Target,
    TargetTooLongError,
    check_framing,
    read_target,
)

_EXTENSION: Final = "orbitserve.wire"
_SHOWN: Final = 256  # bytes of a target that could not be read, for the log
_PIECE: Final = 2**13
"""Bytes that are parsed before it is looked at whether requests wait: a few hundred at most."""


class Wire:
    """What a request may know of its connection, beyond what ASGI says.

    Attributes
    ----------
    under_way
        All requests that have begun on any connection, and not ended. A socket is read before any
        request that was read in the same turn of the event loop is handled.
    fault
        Why the request is to be refused, once that is known: an application that takes the wire
        has to look at it before it does anything, and again after each part of the body.
    """

    __slots__ = ("_cycle", "fault", "under_way")

    def __init__(self, connection: "_Connection") -> None:
        self.under_way: Collection[object] = connection.tasks
        self.fault: ServiceError | None = None
        self._cycle = connection.cycle

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
    """uvicorn's protocol, bounded.

    - A connection that is opened, or has begun a request, and does not send the whole head in time
      is closed; so is one that takes nothing of its answer for as long.
    - A head, a target and trailers have a largest size, and nothing is read while requests wait.
    - A request that asks for another protocol is answered in this one.
    - What is refused is answered by the application, in its own form and in its turn.
    - A request has a `Wire`.
    - A connection has one timer for the time that it may be idle, in place of one a request.
    """

    head_seconds: ClassVar[float]

    flow: Flow
    _answering: RequestResponseCycle | None = None  # while others wait, or have waited
    _head_timer: asyncio.TimerHandle | None = None
    _awaits_head = True
    _idle_timer: asyncio.TimerHandle | None = None
    _idle_since = 0.0
    _write_timer: asyncio.TimerHandle | None = None
    _held: bytes | memoryview = b""
    _refused = False
    _upgrades = False
    _went_on = False  # whether what was parsed last began, continued or ended a request's content
    _overhead = 0  # bytes since then
    _trailers = 0
    _framing: list[tuple[bytes, bytes]]

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.flow = Flow(transport, self.pipeline)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end_wait()
        for timer in (self._idle_timer, self._write_timer):
            if timer is not None:
                timer.cancel()
        answering = self._answering
        if answering is not None and not answering.response_complete:
            answering.disconnected = True
            answering.message_event.set()
        self.pipeline.clear()
        self._held = b""
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        if self.pipeline:
            self._held = bytes(self._held) + data
            return
        if len(data) <= _PIECE:
            self._parse(data)
        else:
            self._parse_in_pieces(memoryview(data))
        if self._awaits_head:  # most heads come whole, and need no timer
            self._await_head()

    def _parse_in_pieces(self, data: memoryview) -> None:
        """Parse as far as requests can be begun, and hold the rest."""
        for start in range(0, len(data), _PIECE):
            self._parse(data[start : start + _PIECE])
            if self._refused:
                return
            if self.pipeline:
                self._held = data[start + _PIECE :]
                return

    def _parse(self, data: bytes | memoryview) -> None:
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            rest = data[upgrade.args[0] :]
        except httptools.HttpParserError as error:
            self._refuse(_fault(error))
            return
        else:
            if self._went_on:
                self._went_on, self._overhead = False, 0
            else:
                self._look_at_size(len(data))
            return
        self._decline_upgrade()
        self._parse(rest)

    def _look_at_size(self, more: int) -> None:
        self._overhead += more
        if self._overhead > MAX_BYTES or (self._awaits_head and self._has_too_many_fields()):
            what = "header fields" if self._awaits_head else "trailers"
            self._refuse(FieldsTooLargeError(what))

    def _has_too_many_fields(self) -> bool:
        return self.headers is not None and len(self.headers) > MAX_FIELDS

    def _decline_upgrade(self) -> None:
        """Have the body of a request parsed that the parser leaves to another protocol.

        RFC 9110, 7.8: a server may ignore the field, and goes on in the protocol that it speaks.
        """
        self.parser = httptools.HttpRequestParser(_Resumed(self))
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        framing = [
            name + b": " + value + b"\r\n"
            for name, value in self.headers
            if name in (b"content-length", b"transfer-encoding")
        ]
        self.parser.feed_data(b"".join([b"POST / HTTP/1.1\r\n", *framing, b"\r\n"]))

    def on_message_begin(self) -> None:
        self._awaits_head = self._went_on = True
        self._trailers = 0
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._framing = []

    def on_url(self, url: bytes) -> None:
        self.url += url
        if len(self.url) > MAX_BYTES:
            raise TargetTooLongError

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._awaits_head:
            name = name.lower()
            field = name, value
            if name in FRAMING:
                self._framing.append(field)
            elif name == b"expect" and value.lower() == b"100-continue":
                self.expect_100_continue = True
            self.headers.append(field)
            return
        self._trailers += 1  # and no more: the request has been begun without them
        if self._trailers > MAX_FIELDS:
            raise FieldsTooLargeError("trailers")

    def on_headers_complete(self) -> None:
        if self._overhead > MAX_BYTES - 2 * _PIECE:
            size = sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size + len(self.url) > MAX_BYTES:
                raise FieldsTooLargeError("header fields")
        version = self.parser.get_http_version()
        if len(self.headers) > MAX_FIELDS:
            raise FieldsTooLargeError("header fields")
        check_framing(self._framing, version)
        method = self.parser.get_method().decode("ascii")
        self._begin(method, read_target(method, self.url), version)
        self._upgrades = self.parser.should_upgrade()

    def _begin(self, method: str, target: Target, version: str) -> None:
        """Have a request answered, when those before it have been."""
        self._awaits_head = False
        self._went_on = True
        self._end_wait()
        scope: dict[str, Any] = {
            "type": "http",
            "asgi": {"version": self.asgi_version, "spec_version": "2.3"},
            "http_version": version,
            "server": self.server,
            "client": self.client,
            "scheme": self.scheme,
            "root_path": self.root_path,
            "headers": self.headers,
            "state": self.app_state.copy(),
            "method": method,
            "path": self.root_path + target.path,
            "raw_path": self.root_path.encode() + target.raw_path,
            "query_string": target.query,
        }
        before = self.cycle
        self.cycle = RequestResponseCycle(
            scope=scope,  # type: ignore[arg-type]
            transport=self.transport,
            flow=self.flow,
            logger=self.logger,
            access_logger=self.access_logger,
            access_log=self.access_log,
            default_headers=self.server_state.default_headers,
            message_event=asyncio.Event(),
            expect_100_continue=self.expect_100_continue,
            keep_alive=version != "1.0" and self.parser.should_keep_alive(),
            on_response=self.on_response_complete,
        )
        scope["extensions"] = {_EXTENSION: Wire(self)}
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
            return
        if not self.pipeline:
            self._answering = before
        self.flow.pause_reading()
        self.pipeline.appendleft((self.cycle, self.app))

    def on_body(self, body: bytes) -> None:
        self._went_on = True
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        self._went_on = True
        if self._upgrades:
            self._upgrades = False  # its body comes yet
            return
        self.cycle.more_body = False
        self.cycle.message_event.set()

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        if self.pipeline:
            self._answering, app = self.pipeline.pop()
            self._start_asgi_task(self._answering, app)
            if not self.pipeline:
                self._go_on()
            return
        self.flow.resume_reading()
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._end_idle)

    def _go_on(self) -> None:
        held, self._held = self._held, b""
        if held:
            self._parse_in_pieces(memoryview(held))
            if self._awaits_head:
                self._await_head()
        self.flow.resume_reading()

    def _refuse(self, fault: ServiceError) -> None:
        """Have the request refused that is being received, and take no other."""
        self._refused = True
        self._held = b""
        cycle = self.cycle
        if not self._awaits_head and cycle is not None and cycle.more_body:
            if cycle.response_started:
                self.transport.close()
                return
        else:
            self._begin_unread()
            cycle = self.cycle
        cycle.keep_alive = False
        cycle.transport = Lingering(self.transport)  # type: ignore[assignment]
        wire = Wire.of(cycle.scope)  # type: ignore[arg-type]
        assert wire is not None  # noqa: S101 - every request has one
        wire.fault = fault
        cycle.message_event.set()

    def _begin_unread(self) -> None:
        """Begin a request of which the head is not complete, or not one that can be read."""
        if not self._awaits_head or self.headers is None:
            self.on_message_begin()
        method = self.parser.get_method().decode("ascii") if self.url else ""
        shown = self.url[:_SHOWN].decode("ascii", "backslashreplace")
        self._begin(method, Target(self.url[:_SHOWN], shown, b""), "1.1")

    def pause_writing(self) -> None:
        super().pause_writing()
        self._watch_writing(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._write_timer is not None:
            self._write_timer.cancel()

    def _watch_writing(self, unread: int) -> None:
        self._write_timer = self.loop.call_later(self.head_seconds, self._end_writing, unread)

    def _end_writing(self, before: int) -> None:
        """Hang up on a client that has taken nothing of its answer."""
        unread = self.transport.get_write_buffer_size()
        if unread < before:
            self._watch_writing(unread)
        else:
            self.transport.abort()

    def _await_head(self) -> None:
        if self._head_timer is None and not self.transport.is_closing():
            self._head_timer = self.loop.call_later(self.head_seconds, self._close)

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
            self._close()
        else:
            self._idle_timer = self.loop.call_later(left, self._end_idle)

    def _close(self) -> None:
        self.transport.close()
        if self.transport.get_write_buffer_size():  # which might never be read
            self.loop.call_later(self.head_seconds, self.transport.abort)


class _Resumed:
    """What a connection's parser calls after it was told a head a second time, and not before."""

    def __init__(self, connection: _Connection) -> None:
        self._connection, self._told = connection, False
        self.on_body = connection.on_body
        self.on_message_complete = connection.on_message_complete

    def on_message_begin(self) -> None:
        if self._told:
            self._connection.on_message_begin()

    def on_url(self, url: bytes) -> None:
        if self._told:
            self._connection.on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._told:
            self._connection.on_header(name, value)

    def on_headers_complete(self) -> None:
        if self._told:
            self._connection.on_headers_complete()
        self._told = True


def _fault(error: httptools.HttpParserError) -> ServiceError:
    """Return what a callback of the parser raised, or put in words why the parser stopped."""
    if isinstance(error.__context__, ServiceError):
        return error.__context__
    return FramingError(
        f"The request is not HTTP/1.1 that can be read ({error}); well-formed HTTP is accepted."
    )


def protocol(head_seconds: float) -> type[HttpToolsProtocol]:
    """Return the protocol, with a bound on how long the head of a request may take to arrive.

    The same bound holds for a client that takes nothing of its answer.
    """

    class Bounded(_Connection):
        pass

    Bounded.head_seconds = head_seconds
    return Bounded
