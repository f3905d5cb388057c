"""FastAPI as this service uses it: what stands in front of it, and how it describes API keys."""

from collections.abc import Callable
from typing import Any, Final

from fastapi import FastAPI
from starlette.applications import Starlette
from starlette.middleware.errors import ServerErrorMiddleware
from starlette.types import ASGIApp, Receive, Scope, Send

from service.access import HEADER, ApiKeys, need

_SCHEMES: Final = {
    "bearer": {"type": "http", "scheme": "bearer"},
    "header": {"type": "apiKey", "in": "header", "name": HEADER},
}


class Application(FastAPI):
    """FastAPI behind a front, with a document that says which calls need a key of which scope.

    Parameters
    ----------
    front
        Puts itself in front of the ASGI application that it is given.
    """

    def __init__(
        self, *, keys: ApiKeys, front: Callable[[ASGIApp], ASGIApp], **options: Any
    ) -> None:
        self._keys, self._front = keys, front
        super().__init__(**options)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection, without FastAPI's own telemetry: the front has another."""
        if scope["type"] == "http":
            await Starlette.__call__(self, scope, receive, send)
        else:
            await super().__call__(scope, receive, send)

    def build_middleware_stack(self) -> ASGIApp:
        """Put the front before all that FastAPI puts before its routes.

        Starlette's catch-all, the outermost layer, is left out: it would answer in its own form.
        """
        stack = super().build_middleware_stack()
        if not isinstance(stack, ServerErrorMiddleware):
            raise TypeError(f"The outermost layer is {type(stack).__name__}.")
        return self._front(stack.app)

    def openapi(self) -> dict[str, Any]:
        """Return the document; it is made once."""
        made = self.openapi_schema is not None
        document = super().openapi()
        if self._keys.asked_for and not made:
            _describe(document)
        return document


def _describe(document: dict[str, Any]) -> None:
    document["components"]["securitySchemes"] = dict(_SCHEMES)
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            needed = need(method.upper(), path)
            if needed == "nothing":
                operation["security"] = []
                continue
            scopes = [] if needed == "key" else [needed]
            operation["security"] = [{name: scopes} for name in _SCHEMES]
            operation["responses"].update(_refusals(forbidden=bool(scopes)))


def _refusals(*, forbidden: bool) -> dict[str, Any]:
    answer = {"schema": {"$ref": "#/components/schemas/ErrorAnswer"}}
    statuses = {"401": "Unauthorized", "403": "Forbidden"} if forbidden else {"401": "Unauthorized"}
    return {
        status: {"description": text, "content": {"application/json": answer}}
        for status, text in statuses.items()
    }
