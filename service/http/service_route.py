"""Routes that say who may call them, and ask for the key before they do anything else."""

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send

from service.auth import Need
from service.errors import ServiceError
from service.http.context import RequestContext


class ServiceRoute(APIRoute):
    """A route of this service.

    The scope that a call needs is that of the route which takes it: no second reading of its path
    can come to another answer. Where it takes GET it takes HEAD too, which the server answers
    without the body.

    Parameters
    ----------
    path
        Its template.
    endpoint
        What FastAPI calls, or only documents.
    needs
        The key that a call needs.
    repeated
        Query parameters that may be there more than once.
    """

    def __init__(
        self,
        path: str,
        endpoint: Callable[..., Any],
        *,
        needs: Need,
        repeated: frozenset[str] = frozenset(),
        **options: Any,
    ) -> None:
        super().__init__(path, endpoint, **options)
        self.needs: Need = needs
        self.repeated = repeated
        # Python's `$` matches before a line break at the end too, which is part of the path.
        self.path_regex = re.compile(self.path_regex.pattern.removesuffix("$") + r"\Z")
        # FastAPI documents whatever is in `methods`, and HEAD is no call of its own.
        self.taken = frozenset(self.methods or ())
        self.allowed = sorted(self.taken | {"HEAD"} if "GET" in self.taken else self.taken)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Say whether the route takes a call, by its path and its method."""
        return super().matches(self._as_get(scope))

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call of the route's path to whoever may make it."""
        taken = self._as_get(scope)
        keys, context = scope["app"].state.keys, RequestContext.of(scope)
        if taken["method"] not in self.taken:
            # That the path is there is told to whoever has any key.
            context.authorise(keys, self.needs if self.needs == "nothing" else "key")
            raise HTTPException(
                HTTPStatus.METHOD_NOT_ALLOWED, headers={"Allow": ", ".join(self.allowed)}
            )
        context.authorise(keys, self.needs)
        context.check_length()
        if scope["query_string"] and self.dependant.query_params:
            read_query(scope["query_string"], self.repeated)
        await self.answer(taken, receive, send)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call that may be made."""
        await super().handle(scope, receive, send)

    def _as_get(self, scope: Scope) -> Scope:
        if scope.get("method") == "HEAD" and "GET" in self.taken:
            return {**scope, "method": "GET"}
        return scope


def read_query(text: bytes, repeated: frozenset[str] = frozenset()) -> dict[str, str]:
    """Read the part of an address behind its question mark.

    Raises
    ------
    ServiceError (422)
        If a parameter is there twice that may not be: another reader would take the other one.
    """
    found: dict[str, str] = {}
    for name, value in parse_qsl(text.decode("latin-1"), keep_blank_values=True):
        if name in found and name not in repeated:
            raise ServiceError(
                HTTPStatus.UNPROCESSABLE_ENTITY,
                f"The query parameter '{name}' is there twice; once is accepted.",
            )
        found[name] = value
    return found


Handler = Callable[[RequestContext, Mapping[str, str]], Awaitable[None]]
"""Answers a call, given what its path has in the places of the template's names."""


class FastRoute(ServiceRoute):
    """A route that FastAPI documents, by a function that it never calls.

    At one small image a request FastAPI's solving of dependencies and validation of answers would
    cost as much as the network. `service.http.middleware.Middleware` calls `handle_fast` instead.

    Parameters
    ----------
    path
        Its template.
    documented
        A function with the parameters and the docstring of the call.
    handler
        What answers a call that may be made; what it raises is a refusal.
    needs
        The key that a call needs.
    """

    def __init__(
        self,
        path: str,
        documented: Callable[..., Any],
        handler: Handler,
        *,
        needs: Need,
        **options: Any,
    ) -> None:
        super().__init__(path, documented, needs=needs, methods=["POST"], **options)
        self.handle_fast = handler

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call that came through the framework all the same."""
        await self.handle_fast(RequestContext.of(scope), scope["path_params"])


def check_routes(routes: Sequence[BaseRoute]) -> None:
    """Refuse routes that do not say who may call them, and let those of one path allow together.

    Raises
    ------
    TypeError
        Naming the route: a mounted application, a file, a websocket, whatever was added past
        `ServiceRoute`.
    """
    allowed: dict[str, set[str]] = {}
    for route in routes:
        if not isinstance(route, ServiceRoute):
            raise TypeError(
                f"The route {getattr(route, 'path', route)!r} says of no call who may make it; a "
                "ServiceRoute is accepted."
            )
        allowed.setdefault(route.path, set()).update(route.allowed)
    for route in routes:
        if isinstance(route, ServiceRoute):
            route.allowed = sorted(allowed[route.path])
