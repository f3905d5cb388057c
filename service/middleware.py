"""What surrounds every call, as pure ASGI: its id, deadline, counters, log line; its errors."""

import asyncio
import math
import random
import re
import time
from typing import Any, Final

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from service.access import PROBES
from service.engine import ComputeError, EngineError
from service.errors import ServiceError, UnavailableError, answer_error
from service.observability.call import Call
from service.observability.metrics import Metrics
from service.observability.traces import Traces

REQUEST_ID: Final = "X-Request-ID"
_SAFE_ID = re.compile(r"[A-Za-z0-9._-]{1,128}")
_WAIT = re.compile(r"(?:^|[,;])\s*wait\s*=\s*\"?([0-9]{1,9})\"?\s*(?=[,;]|$)", re.IGNORECASE)
_ENDING = "The service ends and this request was not done in time; send it again."
_UNREMARKABLE: Final = PROBES | {"/metrics"}

log = structlog.get_logger()


class RequestContextMiddleware:
    """Gives each request an id, a stopwatch, a deadline, counters, a trace and one log line.

    A client's own `X-Request-ID` is kept if it is safe to write into a log. Its `Prefer: wait`
    (RFC 7240, 4.3) in seconds brings the deadline forward, and never puts it off.

    Parameters
    ----------
    log_share
        Part of the requests with an answer that get a log line; those that are refused always do.
    """

    def __init__(
        self,
        app: ASGIApp,
        request_seconds: float,
        metrics: Metrics,
        traces: Traces,
        log_share: float,
    ) -> None:
        self.app = app
        self.request_seconds = request_seconds
        self.metrics = metrics
        self.traces = traces
        self.log_share = log_share

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        request_id = _request_id(headers)
        limit = min(self.request_seconds, _preferred_wait(headers))
        call = Call(time.monotonic() + limit)
        scope.setdefault("state", {})["call"] = call
        trace = self.traces.begin(headers, call)
        bound = {"request_id": request_id} | ({"trace_id": trace.id} if trace else {})
        status = 0

        async def send_with_headers(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                answered = MutableHeaders(scope=message)
                answered[REQUEST_ID] = request_id
                answered["Server-Timing"] = call.timings.header()
            await send(message)

        with structlog.contextvars.bound_contextvars(**bound):
            try:
                await self.app(scope, receive, send_with_headers)
            except BaseException:
                call.refusal = call.refusal or "error"
                raise
            finally:
                self._end(scope, call, status)
                if trace is not None:
                    trace.end(scope["method"], scope["path"], _route(scope), status)

    def _end(self, scope: Scope, call: Call, status: int) -> None:
        call.end()
        self.metrics.called(scope["method"], _route(scope), status)
        if call.refusal is None:
            if random.random() >= self.log_share:  # noqa: S311 - nobody gains by guessing it
                return
        elif call.statistics is None:
            self.metrics.refused(call.refusal)
        write = log.debug if scope["path"] in _UNREMARKABLE else log.info
        write("request", method=scope["method"], path=scope["path"], status=status, **_known(call))


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
            Call.of(scope).refusal = "cancelled"
        except asyncio.CancelledError:
            # The server ends and will wait no longer; its own answer would be in plain text.
            if started:
                Call.of(scope).refusal = "cancelled"
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


def _known(call: Call) -> dict[str, Any]:
    known = {
        "ms": call.timings.total,
        "queue_ms": call.queue_seconds,
        "inference_ms": call.inference_seconds,
    }
    found: dict[str, Any] = {
        name: round(1000 * seconds, 3) for name, seconds in known.items() if seconds is not None
    }
    for name in ("model", "version", "rows", "key", "refusal"):
        value = getattr(call, name)
        if value is not None:
            found[name] = value
    return found


def _route(scope: Scope) -> str:
    """Return the template of the path that a route took; empty where none did."""
    return getattr(scope.get("route"), "path", "")


def _request_id(headers: Headers) -> str:
    own = headers.get(REQUEST_ID, "")
    # Unique, and no secret: asking the system for random bytes would be a call of it a request.
    return own if _SAFE_ID.fullmatch(own) else f"{random.getrandbits(128):032x}"


def _preferred_wait(headers: Headers) -> float:
    """Read `Prefer: wait=<seconds>`; one that cannot be read counts as none, as the RFC has it."""
    preference = headers.get("prefer")
    found = _WAIT.search(preference) if preference else None
    return float(found[1]) if found else math.inf
