"""API keys on every call that needs one."""

from typing import Final, Literal

from service.auth.keys import ApiKeys, Scope
from service.errors import ForbiddenError, UnauthenticatedError
from service.http.context import RequestContext

HEADER: Final = "X-API-Key"

Need = Literal["nothing", "key"] | Scope
"""What a call needs: nothing, any key, or a key of a scope.

Audits, and what changes which models are served, need `admin`; classification and inference need
`infer`; what only tells something needs any key. Probes need nothing, since an orchestrator has no
key, nor does the documentation, which is the same for everybody.
"""

_HEADER: Final = HEADER.lower().encode()
_BEARER: Final = "bearer "


def authorise(keys: ApiKeys, context: RequestContext, needed: Need) -> None:
    """Check that a call came with a key that allows it, and note whose key it is.

    Raises
    ------
    UnauthenticatedError, ForbiddenError
        If it did not, or the key allows other calls alone.
    """
    if needed == "nothing" or not keys.asked_for:
        return
    presented = _presented(context.headers)
    if presented is None:
        raise UnauthenticatedError(
            "This call needs an API key; `Authorization: Bearer <key>` or "
            f"`{HEADER}: <key>` is accepted."
        )
    key = keys.find(presented)
    if key is None:
        raise UnauthenticatedError("The API key is not one of those accepted.", "invalid_token")
    context.call.key = key.name
    if needed != "key" and needed not in key.scopes:
        raise ForbiddenError(
            f"The API key '{key.name}' may not do this; a key with the scope '{needed}' is "
            "accepted.",
            needed,
        )


def is_known(keys: ApiKeys, context: RequestContext) -> bool:
    """Whether whoever calls may be told what any key is told."""
    presented = _presented(context.headers)
    return not keys.asked_for or (presented is not None and keys.find(presented) is not None)


def _presented(headers: dict[bytes, bytes]) -> str | None:
    """Return the key that a call came with, and None for another scheme of authorization."""
    own = headers.get(_HEADER)
    if own is not None:
        return own.decode("latin-1")
    authorization = headers.get(b"authorization", b"").decode("latin-1")
    if authorization[: len(_BEARER)].lower() == _BEARER:
        return authorization[len(_BEARER) :].strip()
    return None
