"""The bytes of a connection become requests, one after the other, within bounds."""

import asyncio
from typing import Any, Final

import httptools
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from service.errors import ServiceError
from service.http.head import (
    FRAMING,
    MAX_BYTES,
    MAX_FIELDS,
    Target,
    ambiguous,
    check_framing,
    fields_too_large,
    read_target,
    target_too_long,
)
from service.http.transport import EXTENSION, Flow, Lingering, Transport

_SHOWN: Final = 256  # bytes of a target that could not be read, for the log
_LOOKED_AT: Final = FRAMING | {b"expect"}
_PIECE: Final = 2**13
"""Bytes that are parsed before it is looked at whether requests wait: a few hundred at most."""


class RequestReader(HttpToolsProtocol):
    """uvicorn's protocol with another reading of requests.

    - A head, a target and trailers have a largest size, and nothing is read while requests wait.
    - A request that asks for another protocol is answered in this one.
    - What is refused is answered by the application, in its own shape and in its turn.
    - A request has a `Transport`.
    """

    flow: Flow
    awaits_head = True
    """Whether the next request has not begun, or its head is not complete."""

    has_begun = False
    """Whether a head has become complete; whoever waits for that takes it back."""

    _answering: RequestResponseCycle | None = None  # while others wait, or have waited
    _held: bytes | memoryview = b""
    _refused = False
    _upgrades = False
    _went_on = False  # whether what was parsed last began, continued or ended a request's content
    _overhead = 0  # bytes since then
    _trailers = 0
    _framing: list[tuple[bytes, bytes]]

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._raw_root = self.root_path.encode()

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Take a new connection."""
        super().connection_made(transport)
        self.flow = Flow(transport, self.pipeline)

    def connection_lost(self, exc: Exception | None) -> None:
        """Tell the request that is answered, and forget those that wait."""
        answering = self._answering
        if answering is not None and not answering.response_complete:
            answering.disconnected = True
            answering.message_event.set()
        self.pipeline.clear()
        self._held = b""
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Parse what has come, unless requests wait: then it waits too."""
        if self._refused:
            return
        if self.pipeline:
            self._held = bytes(self._held) + data
            return
        if len(data) <= _PIECE:
            self._parse(data)
        else:
            self._parse_in_pieces(memoryview(data))

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
        if self._overhead > MAX_BYTES or (self.awaits_head and self._has_too_many_fields()):
            what = "header fields" if self.awaits_head else "trailers"
            self._refuse(fields_too_large(what))

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
        """Begin a head."""
        self.awaits_head = self._went_on = True
        self._trailers = 0
        self.url, self.headers, self.expect_100_continue = b"", [], False
        self._framing = []

    def on_url(self, url: bytes) -> None:
        """Take a part of the target."""
        self.url += url
        if len(self.url) > MAX_BYTES:
            raise target_too_long()

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take a field of the head, or drop a trailer."""
        if self.awaits_head:
            name = name.lower()
            field = name, value
            if name in _LOOKED_AT:
                if name != b"expect":
                    self._framing.append(field)
                elif value.lower() == b"100-continue":
                    self.expect_100_continue = True
            self.headers.append(field)
            return
        self._trailers += 1  # and no more: the request has been begun without them
        if self._trailers > MAX_FIELDS:
            raise fields_too_large("trailers")

    def on_headers_complete(self) -> None:
        """Begin the request, if its head can be read in one way alone."""
        if self._overhead > MAX_BYTES - 2 * _PIECE:
            size = sum(len(name) + len(value) + 4 for name, value in self.headers)
            if size + len(self.url) > MAX_BYTES:
                raise fields_too_large("header fields")
        version = self.parser.get_http_version()
        if len(self.headers) > MAX_FIELDS:
            raise fields_too_large("header fields")
        check_framing(self._framing, version)
        method = self.parser.get_method().decode("ascii")
        self._begin(method, read_target(method, self.url), version)
        self._upgrades = self.parser.should_upgrade()

    def _begin(self, method: str, target: Target, version: str) -> None:
        """Have a request answered, when those before it have been."""
        self.awaits_head = False
        self.has_begun = self._went_on = True
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
            "raw_path": self._raw_root + target.raw_path,
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
        scope["extensions"] = {EXTENSION: Transport(self.tasks, self.cycle)}
        if before is None or before.response_complete:
            self._start_asgi_task(self.cycle, self.app)
            return
        if not self.pipeline:
            self._answering = before
        self.flow.pause_reading()
        self.pipeline.appendleft((self.cycle, self.app))

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._went_on = True
        cycle = self.cycle
        if cycle.response_complete:
            return
        cycle.body += body
        if len(cycle.body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()
        cycle.message_event.set()

    def on_message_complete(self) -> None:
        """End the body."""
        self._went_on = True
        if self._upgrades:
            self._upgrades = False  # its body comes yet
            return
        self.cycle.more_body = False
        self.cycle.message_event.set()

    def answer_next(self) -> None:
        """Begin to answer the request that has waited longest, and read on after the last."""
        self._answering, app = self.pipeline.pop()
        self._start_asgi_task(self._answering, app)
        if not self.pipeline:
            self._go_on()

    def _go_on(self) -> None:
        held, self._held = self._held, b""
        if held:
            self._parse_in_pieces(memoryview(held))
        self.flow.resume_reading()

    def _refuse(self, fault: ServiceError) -> None:
        """Have the request refused that is being received, and take no other."""
        self._refused = True
        self._held = b""
        cycle = self.cycle
        if not self.awaits_head and cycle is not None and cycle.more_body:
            if cycle.response_started:
                self.transport.close()
                return
        else:
            self._begin_unread()
            cycle = self.cycle
        cycle.keep_alive = False
        cycle.transport = Lingering(self.transport)  # type: ignore[assignment]
        transport = Transport.of(cycle.scope)  # type: ignore[arg-type]
        assert transport is not None  # noqa: S101 - every request has one
        transport.fault = fault
        cycle.message_event.set()

    def _begin_unread(self) -> None:
        """Begin a request of which the head is not complete, or not one that can be read."""
        if not self.awaits_head or self.headers is None:
            self.on_message_begin()
        method = self.parser.get_method().decode("ascii") if self.url else ""
        shown = self.url[:_SHOWN].decode("ascii", "backslashreplace")
        self._begin(method, Target(self.url[:_SHOWN], shown, b""), "1.1")


class _Resumed:
    """What a connection's parser calls after it was told a head a second time, and not before."""

    def __init__(self, connection: RequestReader) -> None:
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
    return ambiguous(
        f"The request is not HTTP/1.1 that can be read ({error}); well-formed HTTP is accepted."
    )
