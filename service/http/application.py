"""FastAPI as this service uses it: what stands before it, and how it describes API keys."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from http import HTTPStatus
from typing import Any, Final

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from service.auth import HEADER
from service.http.context import RequestContext
from service.http.service_route import ServiceRoute, check_routes
from service.http.sites import READING

_SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": HEADER},
}


class Application(FastAPI):
    """FastAPI behind the middleware, whose document says which calls need a key of which scope.

    It also says how the middleware refuses calls, whatever their route is.

    Every route says who may call it, or the application is not built. A path that no route has is
    told to whoever has any key. `state.keys` holds the keys.

    Parameters
    ----------
    routes
        All of them.
    outermost
        Puts itself before the ASGI application that it is given.

    Raises
    ------
    TypeError
        If a route does not say who may call it; now, or before the first call.
    """

    def __init__(
        self,
        *,
        routes: Sequence[ServiceRoute],
        outermost: Callable[[ASGIApp], ASGIApp],
        **options: Any,
    ) -> None:
        self._outermost = outermost
        super().__init__(
            routes=[*routes], docs_url=None, redoc_url=None, openapi_url=None, **options
        )
        check_routes(self.routes)
        not_found, self.router.default = self.router.default, self._unmatched
        self._not_found = not_found

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, without FastAPI's own telemetry: the middleware has another."""
        if scope["type"] == "http":
            await Starlette.__call__(self, scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """Put the middleware before all that FastAPI puts before its routes.

        Starlette's catch-all, the outermost layer, is left out: it would answer in its own form.
        """
        check_routes(self.routes)
        self.router.routes = tuple(self.routes)  # type: ignore[assignment] # none is added later
        stack = super().build_middleware_stack()
        if not isinstance(stack, ServerErrorMiddleware):
            raise TypeError(f"The outermost layer is {type(stack).__name__}.")
        return self._outermost(stack.app)

    async def _unmatched(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            RequestContext.of(scope).authorise(self.state.keys, "key")
        await self._not_found(scope, receive, send)

    def openapi(self) -> dict[str, Any]:
        """Return the document; it is made once."""
        made = self.openapi_schema is not None
        document = super().openapi()
        if not made:
            keys = self.state.keys.asked_for
            if keys:
                document["components"]["securitySchemes"] = dict(_SCHEMES)
            for route, method, operation in _operations(document, self.routes):
                statuses = _secured(route, operation) if keys else _without_keys(method)
                for status in (HTTPStatus.BAD_REQUEST, *statuses):
                    operation["responses"].setdefault(str(status.value), _refusal(status))
        return document


def _operations(
    document: dict[str, Any], routes: Iterable[BaseRoute]
) -> Iterator[tuple[ServiceRoute, str, dict[str, Any]]]:
    for route in routes:
        if isinstance(route, ServiceRoute) and route.include_in_schema:
            for method in route.taken:
                yield route, method, document["paths"][route.path_format][method.lower()]


def _secured(route: ServiceRoute, operation: dict[str, Any]) -> list[HTTPStatus]:
    """Say which key a call needs; return how it is refused without it."""
    if route.needs == "nothing":
        operation["security"] = []
        return []
    scopes = [] if route.needs == "key" else [route.needs]
    operation["security"] = [{name: scopes} for name in _SCHEMES]
    return [HTTPStatus.UNAUTHORIZED, *([HTTPStatus.FORBIDDEN] if scopes else [])]


def _without_keys(method: str) -> list[HTTPStatus]:
    """Return how calls are refused that pages of other sites have made."""
    named = [HTTPStatus.MISDIRECTED_REQUEST]
    return named if method in READING else [HTTPStatus.FORBIDDEN, *named]


def _refusal(status: HTTPStatus) -> dict[str, Any]:
    answer = {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}
    return {"description": status.phrase, "content": {"application/json": answer}}
