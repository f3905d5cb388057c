"""Routes of the OpenAPI document, and of the page that shows it with its style and its script."""

from collections.abc import Callable
from importlib.resources import files
from typing import Final

from fastapi import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from service.api.docs.page import render_page
from service.http.routes import ServiceRoute

_STATIC: Final = {"style.css": "text/css", "script.js": "text/javascript"}

_POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Nothing but the package's own files is loaded or run, and nobody but the service is asked."""

_HEADERS: Final = {
    "Content-Security-Policy": _POLICY,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
}

# On threads, which the framework takes for what is no coroutine: the first of them takes a second.
Endpoint = Callable[[Request], Response]


def documentation_routes() -> list[ServiceRoute]:
    """Build the routes; they are open, since they say the same of every service."""
    endpoints: dict[str, Endpoint] = {
        "/openapi.json": _document,
        "/docs": _page(),
        **{f"/docs/{name}": _file(name, kind) for name, kind in _STATIC.items()},
    }
    return [
        ServiceRoute(path, endpoint, needs="nothing", include_in_schema=False)
        for path, endpoint in endpoints.items()
    ]


def _document(request: Request) -> Response:
    document, root = request.app.openapi(), _root(request)
    return JSONResponse({**document, "servers": [{"url": root}]} if root else document)


def _page() -> Endpoint:
    made: dict[str, str] = {}  # by the prefix, which the server was started with

    def page(request: Request) -> Response:
        root = _root(request)
        if root not in made:
            made[root] = render_page(request.app.openapi(), root)
        return HTMLResponse(made[root], headers=_HEADERS)

    return page


def _root(request: Request) -> str:
    root: str = request.scope.get("root_path", "")
    return root.rstrip("/")


def _file(name: str, kind: str) -> Endpoint:
    content = files(__package__).joinpath("static", name).read_bytes()

    def file(request: Request) -> Response:
        return Response(content, media_type=kind, headers=_HEADERS)

    return file
