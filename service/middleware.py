"""What surrounds every call, as pure ASGI: request id, timings and log line; errors; body limit."""

import re
import uuid
from typing import Final

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.errors import ServiceError, TooLargeError, answer_error
from service.observability.timings import Timings

REQUEST_ID: Final = "X-Request-ID"
_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_PROBES = frozenset({"/healthz", "/readyz"})

log = structlog.get_logger()


class RequestContextMiddleware:
    """Gives each request an id and a stopwatch, both answered as headers, and one log line.

    A client's own `X-Request-ID` is kept if it is safe to write into a log.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = _request_id(Headers(scope=scope))
        timings = scope.setdefault("state", {})["timings"] = Timings()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers[REQUEST_ID] = request_id
                headers["Server-Timing"] = timings.header()
            await send(message)

        with structlog.contextvars.bound_contextvars(request_id=request_id):
            try:
                await self.app(scope, receive, send_with_headers)
            finally:
                write = log.debug if scope["path"] in _PROBES else log.info
                milliseconds = round(1000 * timings.total, 2)
                method, path = scope["method"], scope["path"]
                write("request", method=method, path=path, status=status, ms=milliseconds)


class ErrorMiddleware:
    """Answers what no handler answered: refusals raised outside of a route, and our own mistakes.

    It stands inside of `RequestContextMiddleware`, where Starlette's own catch-all does not, so
    that a failed request has its id too.
    """

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started = False

        async def watch(message: Message) -> None:
            nonlocal started
            started = started or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, watch)
        except ClientDisconnect:
            log.info("the client hung up")
        except Exception as error:
            if started:
                raise
            if not isinstance(error, ServiceError):
                log.exception("the request failed")
            response = await answer_error(Request(scope), error)
            await response(scope, receive, send)


class BodyLimitMiddleware:
    """Refuses bodies above a limit: at once where the length is announced, else as they arrive."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        announced = Headers(scope=scope).get("content-length", "")
        if announced.isdecimal() and int(announced) > self.max_bytes:
            raise self._too_large()
        received = 0

        async def receive_within_limit() -> Message:
            nonlocal received
            message = await receive()
            received += len(message.get("body", b""))
            if received > self.max_bytes:
                raise self._too_large()
            return message

        await self.app(scope, receive_within_limit, send)

    def _too_large(self) -> TooLargeError:
        return TooLargeError(f"The body is too large; at most {self.max_bytes} bytes are accepted.")


def _request_id(headers: Headers) -> str:
    own = headers.get(REQUEST_ID, "")
    return own if _SAFE_ID.fullmatch(own) else uuid.uuid4().hex
