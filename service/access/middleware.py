"""API keys on every call that needs one, as pure ASGI."""

from typing import Final

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from service.access.keys import ApiKeys
from service.access.rules import need
from service.errors import ForbiddenError, UnauthenticatedError
from service.observability.call import Call

HEADER: Final = "X-API-Key"

_BEARER: Final = "bearer "


class ApiKeyMiddleware:
    """Refuses calls without a key that allows them; asks for none if the service has none."""

    def __init__(self, app: ASGIApp, keys: ApiKeys) -> None:
        self.app = app
        self.keys = keys

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Handle one connection."""
        if scope["type"] == "http" and self.keys.asked_for:
            self._check(scope)
        await self.app(scope, receive, send)

    def _check(self, scope: Scope) -> None:
        needed = need(scope["method"], scope["path"])
        if needed == "nothing":
            return
        presented = _presented(Headers(scope=scope))
        if presented is None:
            raise UnauthenticatedError(
                "This call needs an API key; `Authorization: Bearer <key>` or "
                f"`{HEADER}: <key>` is accepted."
            )
        key = self.keys.find(presented)
        if key is None:
            raise UnauthenticatedError("The API key is not one of those accepted.", "invalid_token")
        Call.of(scope).key = key.name
        if needed != "key" and needed not in key.scopes:
            raise ForbiddenError(
                f"The API key '{key.name}' may not do this; a key with the scope '{needed}' is "
                "accepted.",
                needed,
            )


def _presented(headers: Headers) -> str | None:
    """Return the key that a call came with, and None for another scheme of authorization."""
    own = headers.get(HEADER)
    if own is not None:
        return own
    authorization = headers.get("authorization", "")
    if authorization[: len(_BEARER)].lower() == _BEARER:
        return authorization[len(_BEARER) :].strip()
    return None
