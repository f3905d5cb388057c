"""What stands before every route, as one ASGI layer: ids, deadlines, keys, counters, errors.

It is one object and not a stack of small ones because at one small image a request each layer, with
its closures and its own reading of the headers, costs a part of what the network does. The routes
of inference are called from here, without the framework in between.
"""

import asyncio
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Final

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from service.auth import ApiKeys
from service.engine.timeout_scanner import TimeoutScanner
from service.errors import UnavailableError, refusal_of
from service.http.context import LOOK_AFTER, RequestContext
from service.http.errors import answer_error
from service.http.service_route import FastRoute
from service.http.sites import OtherSites
from service.metrics.prometheus import Metrics
from service.metrics.request_lines import RequestLines
from service.metrics.traces import Trace, Traces
from service.pending import PendingBytes
from service.settings import Settings

_ENDING = "The service ends and this request was not done in time; send it again."
PROBES: Final = frozenset({"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"})
"""What an orchestrator asks again and again."""

_UNREMARKABLE: Final = PROBES | {"/metrics"}
_PATHS = 256  # that are remembered with the route that takes them

log = structlog.get_logger()


class Middleware:
    """Gives each call an id, a deadline, counters, a trace and a log line, and answers its errors.

    Parameters
    ----------
    app
        What answers the calls that no fast route takes.
    routes
        The fast routes.
    pending
        What all requests hold.
    """

    def __init__(
        self,
        app: ASGIApp,
        routes: Sequence[FastRoute],
        settings: Settings,
        pending: PendingBytes,
        keys: ApiKeys,
        metrics: Metrics,
        traces: Traces,
    ) -> None:
        self.app = app
        self._routes = routes
        self._limits = settings.request_seconds, settings.receive_seconds, settings.max_body_bytes
        self._pending = pending
        self._lines = RequestLines(settings)
        self._sites = OtherSites(settings)
        self._keys, self._metrics, self._traces = keys, metrics, traces
        # Clients that send too slowly or hang up are looked after from here.
        self._open = TimeoutScanner(RequestContext.look, LOOK_AFTER)
        self._find = lru_cache(_PATHS)(self._find_route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        context = RequestContext(scope, receive, send, *self._limits, self._pending)
        call = context.call
        state = scope.setdefault("state", {})
        state["call"], state["context"] = call, context
        # Each request is a task of its own, so its context is its own too.
        structlog.contextvars.bind_contextvars(request_id=context.id)
        trace = self._traces.begin(context.headers, call)
        if trace is not None:
            structlog.contextvars.bind_contextvars(trace_id=trace.id)
        self._open.add(context)
        try:
            await self._handle(context)
        except BaseException:
            call.refusal = call.refusal or "error"
            raise
        finally:
            self._open.discard(context)
            context.end()
            self._end(context, trace)
            if trace is not None:
                trace.end(scope["method"], context.path, _template(scope), context.status)

    async def _handle(self, context: RequestContext) -> None:
        try:
            await self._dispatch(context)
        except ClientDisconnect:
            context.call.refusal = "cancelled"
        except asyncio.CancelledError:
            await self._given_up(context)
        except Exception as error:
            if context.status:
                raise
            if refusal_of(error).status == 500:
                log.exception("the request failed")
            await _refuse(context, error)

    async def _dispatch(self, context: RequestContext) -> None:
        scope = context.scope
        context.check_transport()
        context.check_fields()
        self._sites.check(scope, context.headers)
        found = self._find(context.path) if scope["method"] == "POST" else None
        if found is None:
            # Every other route asks for the key itself.
            await self.app(scope, context.receive, context.send)
            return
        route, address = found
        scope["route"] = route
        if self._keys.asked_for:
            context.authorise(self._keys, route.needs)
        context.check_length()
        await route.handle_fast(context, address)

    def _find_route(self, path: str) -> tuple[FastRoute, Mapping[str, str]] | None:
        for route in self._routes:
            matched = route.path_regex.fullmatch(path)
            if matched is not None:
                return route, matched.groupdict()
        return None

    async def _given_up(self, context: RequestContext) -> None:
        """Say why a request's task was cancelled, if there is anybody to be told."""
        fault, task = context.fault, asyncio.current_task()
        if fault is not None and task is not None:
            task.uncancel()
        if isinstance(fault, ClientDisconnect):
            context.call.refusal = "cancelled"
        elif context.status:
            context.call.refusal = "cancelled"
            raise asyncio.CancelledError
        else:
            # The server ends and will wait no longer; its own answer would be in plain text.
            await _refuse(context, fault or UnavailableError(_ENDING))

    def _end(self, context: RequestContext, trace: Trace | None) -> None:
        scope, call, status = context.scope, context.call, context.status
        call.end()
        self._metrics.called(scope["method"], _template(scope), status)
        if call.refusal is not None and call.statistics is None:
            self._metrics.refused(call.refusal)
        remarkable = context.path not in _UNREMARKABLE
        self._lines.write(
            call,
            context.id,
            method=scope["method"],
            path=context.path,
            status=int(status),
            trace_id=None if trace is None else trace.id,
            remarkable=remarkable,
        )


async def _refuse(context: RequestContext, error: Exception) -> None:
    response = await answer_error(Request(context.scope), error)
    await response(context.scope, context.receive, context.send)


def _template(scope: Scope) -> str:
    """Return the template of the path that a route took; empty where none did."""
    return getattr(scope.get("route"), "path", "")
