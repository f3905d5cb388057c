"""Pages and files that come with the package, under a policy that lets nothing else in."""

import hashlib
from collections.abc import Awaitable, Callable, Mapping
from functools import cache
from typing import Final

from fastapi import Request
from starlette.responses import Response

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing but the package's own files is loaded or run, and nobody but the service is asked."""

HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

WITH_IMAGES: Final = HEADERS | {"Content-Security-Policy": f"{_POLICY}; img-src 'self'"}
"""For a page that has images of its own; one that has none would be asked for an icon."""

MEDIA_TYPES: Final = {
    ".html": "text/html",
    ".css": "text/css",
    ".js": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
"""By the suffix of a file."""


def file_endpoint(
    content: Callable[[], bytes], media_type: str, policy: Mapping[str, str] = HEADERS
) -> Callable[[Request], Awaitable[Response]]:
    """Make what answers a file; whoever has it asks whether it is still the one.

    Parameters
    ----------
    content
        Called once, when the file is first asked for.
    """
    headers = {**policy, "Cache-Control": "no-cache"}
    content = cache(content)

    async def file(request: Request) -> Response:
        return tagged(request, content(), media_type, headers)

    return file


def tagged(
    request: Request, content: bytes, media_type: str, headers: Mapping[str, str]
) -> Response:
    """Answer content with its digest as `ETag`, or 304 to a client that has it."""
    tag = f'"{hashlib.sha256(content).hexdigest()}"'
    headers = {"ETag": tag, **headers}
    known = [each.strip() for each in request.headers.get("if-none-match", "").split(",")]
    if "*" in known or tag in {each.removeprefix("W/") for each in known}:
        return Response(status_code=304, headers=headers)
    return Response(content, media_type=media_type, headers=headers)
