"""API keys on every call that needs one."""

from collections.abc import Mapping
from typing import Final, Literal

from service.auth.keys import ApiKeys, Key, Scope
from service.errors import ServiceError

HEADER: Final = "X-API-Key"

Need = Literal["nothing", "key"] | Scope
"""What a call needs: nothing, any key, or a key of a scope.

Audits, and what changes which models are served, need `admin`; classification and inference need
`infer`; what only tells something needs any key. Probes need nothing, since an orchestrator has no
key, nor does the documentation, which is the same for everybody.
"""

Headers = Mapping[bytes, bytes]
"""Of a request, by their names in small letters."""

_HEADER: Final = HEADER.lower().encode()
_BEARER: Final = "bearer "


def identify(keys: ApiKeys, headers: Headers) -> Key:
    """Return the key that a call came with.

    Raises
    ------
    ServiceError (401)
        If it came with none that is accepted.
    """
    presented = _presented(headers)
    if presented is None:
        raise _unauthenticated(
            "This call needs an API key; `Authorization: Bearer <key>` or "
            f"`{HEADER}: <key>` is accepted."
        )
    key = keys.find(presented)
    if key is None:
        raise _unauthenticated("The API key is not one of those accepted.", error="invalid_token")
    return key


def check_scope(key: Key, needed: Need) -> None:
    """Check that a key allows a call.

    Raises
    ------
    ServiceError (403)
        If it allows other calls alone.
    """
    if needed in ("nothing", "key") or needed in key.scopes:
        return
    raise ServiceError(
        403,
        f"The API key '{key.name}' may not do this; a key with the scope '{needed}' is accepted.",
        headers=_challenge(error="insufficient_scope", scope=needed),
    )


def is_known(keys: ApiKeys, headers: Headers) -> bool:
    """Whether whoever calls may be told what any key is told."""
    presented = _presented(headers)
    return not keys.asked_for or (presented is not None and keys.find(presented) is not None)


def _unauthenticated(sentence: str, **told: str) -> ServiceError:
    return ServiceError(401, sentence, headers=_challenge(**told))


def _challenge(**told: str) -> Mapping[str, str]:
    """Write what RFC 6750 asks of answers that refuse a key."""
    parts = [f'{name}="{value}"' for name, value in {"realm": "orbitserve", **told}.items()]
    return {"WWW-Authenticate": f"Bearer {', '.join(parts)}"}


def _presented(headers: Headers) -> str | None:
    """Return the key that a call came with, and None for another scheme of authorization."""
    own = headers.get(_HEADER)
    if own is not None:
        return own.decode("latin-1")
    authorization = headers.get(b"authorization", b"").decode("latin-1")
    if authorization[: len(_BEARER)].lower() == _BEARER:
        return authorization[len(_BEARER) :].strip()
    return None
