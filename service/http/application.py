"""FastAPI as this service uses it: what stands before it, and how it describes API keys."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from service.auth import HEADER
from service.http.context import RequestContext
from service.http.service_route import ServiceRoute, check_routes

_SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": HEADER},
}


class Application(FastAPI):
    """FastAPI behind the middleware, whose document says which calls need a key of which scope.

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
        if self.state.keys.asked_for and not made:
            _describe(document, self.routes)
        return document


def _describe(document: dict[str, Any], routes: Iterable[BaseRoute]) -> None:
    document["components"]["securitySchemes"] = dict(_SCHEMES)
    for route in routes:
        if not isinstance(route, ServiceRoute) or not route.include_in_schema:
            continue
        for method in route.taken:
            operation = document["paths"][route.path_format][method.lower()]
            if route.needs == "nothing":
                operation["security"] = []
                continue
            scopes = [] if route.needs == "key" else [route.needs]
            operation["security"] = [{name: scopes} for name in _SCHEMES]
            operation["responses"].update(_refusals(forbidden=bool(scopes)))


def _refusals(*, forbidden: bool) -> dict[str, Any]:
    answer = {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}
    statuses = {"401": "Unauthorized", "403": "Forbidden"} if forbidden else {"401": "Unauthorized"}
    return {
        status: {"description": text, "content": {"application/json": answer}}
        for status, text in statuses.items()
    }
