"""What stands before every route, as one ASGI layer: ids, deadlines, keys, counters, errors.

It is one object and not a stack of small ones because at one small image a request each layer, with
its closures and its own reading of the headers, costs a part of what the network does. The routes
of inference are called from here, without the framework in between.
"""

import asyncio
import random
from collections.abc import Mapping, Sequence
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final

import structlog
from starlette.requests import ClientDisconnect, Request
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.health import PROBES
from service.auth import ApiKeys, authorise
from service.engine.timeout_scanner import Sweep
from service.errors import UnavailableError, answer_error, describe_error
from service.http.context import LOOK_AFTER, Exchange
from service.http.fast_routes import BareRoute
from service.metrics.call import Call
from service.metrics.prometheus import Metrics
from service.metrics.traces import Traces
from service.settings import Settings

_ENDING = "The service ends and this request was not done in time; send it again."
_UNREMARKABLE: Final = PROBES | {"/metrics"}
_PATHS = 256  # that are remembered with the route that takes them

log = structlog.get_logger()


class Front:
    """Gives each call an id, a deadline, counters, a trace and a log line, and answers its errors.

    Parameters
    ----------
    app
        What answers the calls that no bare route takes.
    routes
        The bare routes.
    """

    def __init__(
        self,
        app: ASGIApp,
        routes: Sequence[BareRoute],
        settings: Settings,
        keys: ApiKeys,
        metrics: Metrics,
        traces: Traces,
    ) -> None:
        self.app = app
        self._routes = routes
        self._limits = settings.request_seconds, settings.receive_seconds, settings.max_body_bytes
        self._log_share = settings.log_requests
        self._logged = settings.log_level in ("debug", "info")  # what is not is not even gathered
        self._keys, self._metrics, self._traces = keys, metrics, traces
        # Clients that send too slowly or hang up are looked after from here.
        self._open = Sweep(Exchange.look, LOOK_AFTER)
        self._find = lru_cache(_PATHS)(self._find_route)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        exchange = Exchange(scope, receive, send, *self._limits)
        call = exchange.call
        state = scope.setdefault("state", {})
        state["call"], state["exchange"] = call, exchange
        # Each request is a task of its own, so its context is its own too.
        structlog.contextvars.bind_contextvars(request_id=exchange.id)
        trace = self._traces.begin(exchange.headers, call)
        if trace is not None:
            structlog.contextvars.bind_contextvars(trace_id=trace.id)
        self._open.add(exchange)
        try:
            await self._handle(exchange)
        except BaseException:
            call.refusal = call.refusal or "error"
            raise
        finally:
            self._open.discard(exchange)
            exchange.end()
            self._end(exchange)
            if trace is not None:
                trace.end(scope["method"], exchange.path, _template(scope), exchange.status)

    async def _handle(self, exchange: Exchange) -> None:
        try:
            await self._dispatch(exchange)
        except ClientDisconnect:
            exchange.call.refusal = "cancelled"
        except asyncio.CancelledError:
            await self._given_up(exchange)
        except Exception as error:
            if exchange.status:
                raise
            if describe_error(error).status == HTTPStatus.INTERNAL_SERVER_ERROR:
                log.exception("the request failed")
            await _refuse(exchange, error)

    async def _dispatch(self, exchange: Exchange) -> None:
        scope = exchange.scope
        exchange.check_wire()
        found = self._find(exchange.path) if scope["method"] == "POST" else None
        if found is None:
            # Every other route asks for the key itself.
            await self.app(scope, exchange.receive, exchange.send)
            return
        route, address = found
        scope["route"] = route
        if self._keys.asked_for:
            authorise(self._keys, exchange, route.needs)
        exchange.check_length()
        await route.handle_bare(exchange, address)

    def _find_route(self, path: str) -> tuple[BareRoute, Mapping[str, str]] | None:
        for route in self._routes:
            matched = route.path_regex.fullmatch(path)
            if matched is not None:
                return route, matched.groupdict()
        return None

    async def _given_up(self, exchange: Exchange) -> None:
        """Say why a request's task was cancelled, if there is anybody to be told."""
        fault, task = exchange.fault, asyncio.current_task()
        if fault is not None and task is not None:
            task.uncancel()
        if isinstance(fault, ClientDisconnect):
            exchange.call.refusal = "cancelled"
        elif exchange.status:
            exchange.call.refusal = "cancelled"
            raise asyncio.CancelledError
        else:
            # The server ends and will wait no longer; its own answer would be in plain text.
            await _refuse(exchange, fault or UnavailableError(_ENDING))

    def _end(self, exchange: Exchange) -> None:
        scope, call, status = exchange.scope, exchange.call, exchange.status
        call.end()
        self._metrics.called(scope["method"], _template(scope), status)
        if call.refusal is not None and call.statistics is None:
            self._metrics.refused(call.refusal)
        if not self._logged:
            return
        if call.refusal is None and random.random() >= self._log_share:  # noqa: S311 - no secret
            return
        write = log.debug if exchange.path in _UNREMARKABLE else log.info
        write("request", method=scope["method"], path=exchange.path, status=status, **_known(call))


async def _refuse(exchange: Exchange, error: Exception) -> None:
    response = await answer_error(Request(exchange.scope), error)
    await response(exchange.scope, exchange.receive, exchange.send)


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


def _template(scope: Scope) -> str:
    """Return the template of the path that a route took; empty where none did."""
    return getattr(scope.get("route"), "path", "")
