"""Which calls are open to everybody, and which scope each of the others needs."""

import re
from typing import Final, Literal

PROBES: Final = frozenset({"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"})
"""What tells an orchestrator about the process: it has no key."""

_DOCUMENTS: Final = frozenset({"/docs", "/docs/oauth2-redirect", "/openapi.json", "/redoc"})
"""The same for everybody, and about the calls alone: a browser opens them without a header."""

_ADMIN = re.compile(
    r"/models/[^/]+(?:/versions/[^/]+)?/audit"
    r"|/audits(?:/.*)?"
    r"|/v2/repository/models/[^/]+/(?:load|unload)"
)
_READING: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_INDEX: Final = "/v2/repository/index"

Need = Literal["nothing", "key", "infer", "admin"]


def need(method: str, path: str) -> Need:
    """Say what a call needs: nothing, any key, or a key of a scope.

    Audits, and what changes which models are served, need `admin`; what only tells something needs
    any key; all else needs `infer`.
    """
    if path in PROBES or path in _DOCUMENTS:
        return "nothing"
    if _ADMIN.fullmatch(path):
        return "admin"
    if method in _READING or path == _INDEX:
        return "key"
    return "infer"
