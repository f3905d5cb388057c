"""Routes of the OpenAPI document, and of the page that shows it with its style and its script."""

import re
from collections.abc import Awaitable, Callable, Iterator, Mapping
from importlib.resources import files
from pathlib import PurePath
from typing import Any, Final

from fastapi import Request
from markupsafe import Markup, escape
from starlette.responses import HTMLResponse, JSONResponse, Response

from service.api.pages import HEADERS, MEDIA_TYPES, file_endpoint
from service.http.service_route import ServiceRoute

Document = Mapping[str, Any]

_CODE: Final = re.compile(r"`([^`]+)`")


def render_page(document: Document, root: str) -> str:
    """Write the page; every link in it is relative, so that a proxy may add a prefix, `root`."""
    from jinja2 import Environment, StrictUndefined

    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True)
    environment.filters |= {"prose": _prose, "kind": _kind}
    template = files(__package__).joinpath("static", "page.html").read_text("utf-8")
    return environment.from_string(template).render(
        info=document["info"], sections=_by_tag(document), root=root
    )


def _by_tag(document: Document) -> dict[str, list[dict[str, Any]]]:
    sections: dict[str, list[dict[str, Any]]] = {}
    for call in _calls(document):
        sections.setdefault(call["tag"], []).append(call)
    return sections


def _calls(document: Document) -> Iterator[dict[str, Any]]:
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            body = operation.get("requestBody", {})
            yield {
                "tag": operation.get("tags", ["calls"])[0],
                "id": operation["operationId"],
                "method": method.upper(),
                "path": path,
                "summary": operation.get("summary", ""),
                "description": operation.get("description", ""),
                "key": _key(operation.get("security", [])),
                "parameters": operation.get("parameters", []),
                "types": list(body.get("content", {})),
                "responses": {
                    status: answer.get("description", "")
                    for status, answer in operation["responses"].items()
                },
            }


def _key(security: list[dict[str, list[str]]]) -> str:
    """Say which API key a call needs; empty for none."""
    if not security:
        return ""
    scopes = next(iter(security[0].values()))
    return f"a key with the scope {scopes[0]}" if scopes else "any key"


def _kind(schema: Mapping[str, Any]) -> str:
    """Describe the values of a parameter in a few words."""
    schemas = [each for each in schema.get("anyOf", [schema]) if each.get("type") != "null"]
    words = []
    for each in schemas:
        word = " or ".join(map(str, each["enum"])) if "enum" in each else each.get("type", "any")
        bounds = (("minimum", "at least"), ("maximum", "at most"))
        words.append(" ".join([word, *(f"{said} {each[n]}" for n, said in bounds if n in each)]))
    default = schema.get("default")
    return ", or ".join(words) + ("" if default is None else f"; {default} by default")


def _prose(text: str) -> Markup:
    """Write paragraphs, and what stands between backticks as code."""
    paragraphs = (_CODE.sub(r"<code>\1</code>", str(escape(each))) for each in text.split("\n\n"))
    return Markup("".join(f"<p>{each}</p>\n" for each in paragraphs if each.strip()))  # noqa: S704 -- escaped above


_STATIC: Final = ("style.css", "script.js")

# The page is made on a thread, which the framework takes for what is no coroutine: the first of
# them takes a second.
Endpoint = Callable[[Request], Response | Awaitable[Response]]


def documentation_routes() -> list[ServiceRoute]:
    """Build the routes; they are open, since they say the same of every service."""
    endpoints: dict[str, Endpoint] = {
        "/openapi.json": _document,
        "/docs": _page(),
        **{f"/docs/{name}": _file(name) for name in _STATIC},
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
        return HTMLResponse(made[root], headers=HEADERS)

    return page


def _root(request: Request) -> str:
    root: str = request.scope.get("root_path", "")
    return root.rstrip("/")


def _file(name: str) -> Endpoint:
    content = files(__package__).joinpath("static", name).read_bytes()
    return file_endpoint(lambda: content, MEDIA_TYPES[PurePath(name).suffix])
