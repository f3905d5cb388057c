"""What surrounds every call, as pure ASGI: request id, timings, deadline and log line; errors."""

import asyncio
import math
import re
import time
import uuid
from typing import Final

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.engine import ComputeError, EngineError
from service.errors import ServiceError, UnavailableError, answer_error
from service.observability.timings import Timings

REQUEST_ID: Final = "X-Request-ID"
_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?([0-9]{1,9})\"?\s*(?=[,;]|$)", re.IGNORECASE)
_ENDING = "The service ends and this request was not done in time; send it again."
_PROBES = frozenset({"/healthz", "/readyz"})

log = structlog.get_logger()


class RequestContextMiddleware:
    """Gives each request an id, a stopwatch, a deadline, and one log line.

    A client's own `X-Request-ID` is kept if it is safe to write into a log. Its `Prefer: wait`
    (RFC 7240, 4.3) in seconds brings the deadline forward, and never puts it off.
    """

    def __init__(self, app: ASGIApp, request_seconds: float) -> None:
        self.app = app
        self.request_seconds = request_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _request_id(headers)
        state = scope.setdefault("state", {})
        state["deadline"] = time.monotonic() + min(self.request_seconds, _preferred_wait(headers))
        timings = state["timings"] = Timings()
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = MutableHeaders(scope=message)
                answered[REQUEST_ID] = request_id
                answered["Server-Timing"] = timings.header()
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
        except asyncio.CancelledError:
            # The server ends and will wait no longer; its own answer would be in plain text.
            if started:
                raise
            await self._answer(UnavailableError(_ENDING), scope, receive, send)
        except Exception as error:
            if started:
                raise
            if not isinstance(error, ServiceError | EngineError) or isinstance(error, ComputeError):
                log.exception("the request failed")
            await self._answer(error, scope, receive, send)

    async def _answer(self, error: Exception, scope: Scope, receive: Receive, send: Send) -> None:
        response = await answer_error(Request(scope), error)
        await response(scope, receive, send)


def _request_id(headers: Headers) -> str:
    own = headers.get(REQUEST_ID, "")
    return own if _SAFE_ID.fullmatch(own) else uuid.uuid4().hex


def _preferred_wait(headers: Headers) -> float:
    """Read `Prefer: wait=<seconds>`; one that cannot be read counts as none, as the RFC has it."""
    preference = headers.get("prefer")
    found = _WAIT.search(preference) if preference else None
    return float(found[1]) if found else math.inf
