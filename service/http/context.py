"""One request and its answer: received within limits, answered under its own id."""

import asyncio
import math
import re
import time
from collections import Counter
from collections.abc import Iterable
from http import HTTPStatus
from typing import Final, Self

from starlette.requests import ClientDisconnect
from starlette.types import Message, Receive, Scope, Send

from service.auth import ApiKeys, Need, check_scope, identify
from service.errors import CLOSE, ServiceError, TooLargeError
from service.http.transport import Transport
from service.metrics.call import REQUEST_ID, Call, request_id
from service.pending import Held, PendingBytes

LOOK_AFTER: Final = 0.05
"""Seconds of work on one request before its client is looked after."""

_ID_HEADER: Final = REQUEST_ID.lower().encode()
_CACHE: Final = b"cache-control"

_ONCE: Final = frozenset(
    {
        b"authorization",
        b"content-encoding",
        b"content-type",
        b"inference-header-content-length",
        b"x-api-key",
    }
)
"""Fields that say whose call it is, and how its body is read."""

_WAIT: Final = re.compile(
    rb"(?:^|[,;])\s*wait\s*=\s*\"?([0-9]{1,9})\"?\s*(?=[,;]|$)", re.IGNORECASE
)
_ASYNC: Final = re.compile(rb"(?:^|[,;])\s*respond-async\s*(?=[,;]|$)", re.IGNORECASE)


class RequestContext:
    """What one call of the application reads and writes, and what is known of its client.

    A client's own `X-Request-ID` is kept if it is safe to write into a log. Its `Prefer: wait`
    (RFC 7240, 4.3) in seconds brings the deadline forward, and never puts it off.

    Parameters
    ----------
    scope, receive, send
        Of the call, by ASGI.
    request_seconds
        How long it may take to be answered.
    receive_seconds, max_bytes
        How long its body may take to arrive, and how large it may be.
    pending
        What all requests hold.

    Attributes
    ----------
    id
        The request's, printable ASCII.
    path
        The request's, without what a proxy in front has stripped and the links have to have.
    headers
        The request's, by their names in small letters.
    call
        What becomes known of the request.
    status
        Of the answer, once it has begun; 0 before.
    fault
        Why the work on it was given up from outside.
    """

    __slots__ = (
        *("call", "fault", "headers", "id", "path", "scope", "status"),
        *("_bytes", "_max_bytes", "_receive", "_received", "_send", "_since", "_task"),
        *("_waiting", "_watcher", "_transport", "_seconds"),
    )

    def __init__(
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        request_seconds: float,
        receive_seconds: float,
        max_bytes: int,
        pending: PendingBytes,
    ) -> None:
        self.scope = scope
        self.path: str = scope["path"].removeprefix(scope.get("root_path", ""))
        self.headers: dict[bytes, bytes] = dict(reversed(scope["headers"]))
        now = time.monotonic()
        deadline = now + min(request_seconds, preferred_wait(self._preferences()))
        self.call = Call(deadline, Held(pending))
        self._transport = Transport.of(scope)
        if self._transport is not None:
            self.call.under_way = self._transport.under_way
        self.id = request_id(self.headers)
        self.status = 0
        self.fault: ServiceError | ClientDisconnect | None = None
        self._receive, self._send = receive, send
        self._bytes, self._max_bytes = 0, max_bytes
        self._received = self._waiting = False
        self._since, self._seconds = now, receive_seconds
        self._task = asyncio.current_task()
        self._watcher: asyncio.Task[None] | None = None

    def check_transport(self) -> None:
        """Refuse what the connection could not read.

        Raises
        ------
        ServiceError
            Before anything is done about the request.
        """
        if self._transport is not None and self._transport.fault is not None:
            raise self._transport.fault

    def check_fields(self) -> None:
        """Refuse a head that can be read in two ways, although its end and its recipient cannot.

        Raises
        ------
        ServiceError (400)
            If a field is there twice that may be there once: another reader would take the other.
        """
        if len(self.headers) == len(self.scope["headers"]):
            return
        counts = Counter(name for name, _ in self.scope["headers"] if name in _ONCE)
        for name, count in counts.items():
            if count > 1:
                raise ServiceError(
                    HTTPStatus.BAD_REQUEST,
                    f"The field '{name.decode('ascii')}' is there {count} times; once is accepted.",
                )

    @classmethod
    def of(cls, scope: Scope) -> Self:
        """Return the context that `service.http.middleware.Middleware` has begun."""
        context: Self = scope["state"]["context"]
        return context

    def authorise(self, keys: ApiKeys, needed: Need) -> None:
        """Check that the call came with a key that allows it, and note whose key it is.

        Raises
        ------
        ServiceError (401, 403)
            If it did not.
        """
        if needed == "nothing" or not keys.asked_for:
            return
        key = identify(keys, self.headers)
        self.call.key = key.name
        check_scope(key, needed)

    def check_length(self) -> None:
        """Refuse a body that is announced to be too large.

        Raises
        ------
        TooLargeError
            Before any of it is read.
        """
        announced = self.headers.get(b"content-length", b"")
        if announced.isdigit() and int(announced) > self._max_bytes:
            raise self._too_large()

    async def receive(self) -> Message:
        """Receive a message of the request, counting its bytes.

        Raises
        ------
        TooLargeError
            As soon as the body has grown too large.
        ServiceError
            As soon as it cannot be read.
        """
        self._waiting = True
        try:
            message = await self._receive()
        finally:
            self._waiting = False
        if not self._received:
            self.check_transport()
            self._received = not message.get("more_body", False)
            self._bytes += len(message.get("body", b""))
            if self._bytes > self._max_bytes:
                raise self._too_large()
            self.call.held.body(self._bytes)
        return message

    async def body(self) -> bytes:
        """Receive the whole body.

        Raises
        ------
        TooLargeError
            As soon as it has grown too large.
        ClientDisconnect
            If the client hangs up before it is complete.
        """
        blocks = []
        while True:
            message = await self.receive()
            if message["type"] == "http.disconnect":
                raise ClientDisconnect
            blocks.append(message.get("body", b""))
            if self._received:
                return blocks[0] if len(blocks) == 1 else b"".join(blocks)

    async def send(self, message: Message) -> None:
        """Send a message of the answer, whose head gets the request's id and its timings."""
        if message["type"] == "http.response.start":
            headers = [*message.get("headers", ())]
            # Shared caches know what Authorization means, and not what X-API-Key does.
            if self.call.key is not None and all(name != _CACHE for name, _ in headers):
                headers.append((_CACHE, b"private"))
            message = self._begun(message["status"], headers)
        await self._send(message)

    async def answer(self, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
        """Send a whole answer of status 200."""
        length = (b"content-length", b"%d" % len(body))
        head = self._begun(200, (*headers, length))
        if self._transport is None or not self._transport.answer(head["headers"], body):
            await self._send(head)
            await self._send({"type": "http.response.body", "body": body})

    def _preferences(self) -> bytes | None:
        """Return what all fields `Prefer` say together (RFC 7240, 2)."""
        if b"prefer" not in self.headers:
            return None
        return b",".join(value for name, value in self.scope["headers"] if name == b"prefer")

    def _begun(self, status: int, headers: Iterable[tuple[bytes, bytes]]) -> Message:
        self.status = status
        own = (
            (_ID_HEADER, self.id.encode()),
            (b"server-timing", self.call.timings.header().encode()),
        )
        return {"type": "http.response.start", "status": status, "headers": [*headers, *own]}

    def look(self) -> None:
        """Give the work up if the client is too slow, and see whether it has hung up."""
        if self.status or self._watcher is not None:
            return
        now = time.monotonic()
        if not self._received:
            # Before all of the body is there, whoever reads it is told of a client that hangs up.
            # One that nobody waits for, as where a GET has none, is not late.
            if self._waiting and now - self._since > self._seconds:
                self._give_up(self._too_slow())
        elif now - self._since > LOOK_AFTER:
            self._watcher = asyncio.get_running_loop().create_task(self._watch())

    def end(self) -> None:
        """Look no longer, and hold nothing."""
        self.call.held.release()
        if self._watcher is not None:
            self._watcher.cancel()

    async def _watch(self) -> None:
        message = await self._receive()
        if message["type"] == "http.disconnect" and not self.status:
            self._give_up(ClientDisconnect())

    def _give_up(self, fault: ServiceError | ClientDisconnect) -> None:
        if self.fault is None and self._task is not None:
            self.fault = fault
            self._task.cancel()

    def _too_large(self) -> TooLargeError:
        return TooLargeError(
            f"The body is too large; at most {self._max_bytes} bytes are accepted."
        )

    def _too_slow(self) -> ServiceError:
        return ServiceError(
            408,
            f"The body did not arrive in time; all of it within {self._seconds:g} s is accepted.",
            headers=CLOSE,
        )


def preferred_wait(header: bytes | None) -> float:
    """Return the seconds of `wait` in a header `Prefer` (RFC 7240, 4.3); infinity without any."""
    found = _WAIT.search(header) if header else None
    return float(found[1]) if found else math.inf


def prefers_async(header: bytes | None) -> bool:
    """Whether an answer is preferred that comes before the work is done (RFC 7240, 4.1)."""
    return header is not None and _ASYNC.search(header) is not None
