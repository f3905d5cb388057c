"""The scope of a call is that of the route which takes it, however its path is spelt."""

import http.client
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute
from starlette.applications import Starlette
from starlette.routing import Mount, Route, WebSocketRoute

import service.app
from service.app import create_app
from service.http.service_route import ServiceRoute
from service.settings import Settings
from tests.service.access.test_keys import ADMIN, BOTH, CALLS, FILE, INFER, bearer

HOLDERS = {
    "nobody": (None, set()),
    "a stranger": ("a-key-that-nobody-gave", set()),
    "infer": (INFER, {"key", "infer"}),
    "admin": (ADMIN, {"key", "admin"}),
    "both": (BOTH, {"key", "infer", "admin"}),
}
DOCUMENTS = (
    "/docs",
    "/docs/style.css",
    "/docs/script.js",
    "/openapi.json",
    "/",
    "/console/main.js",
)
OPEN = [("GET", path, "nothing") for path in DOCUMENTS]
ABSENT = [
    (method, path, "key")
    for method in ("GET", "POST")
    for path in (
        "/v2/trace/setting",
        "/v2/models/{name}/trace/setting",
        "/v2/logging",
        "/v2/systemsharedmemory/status",
        "/v2/cudasharedmemory/region/any/register",
    )
]
# The name is that of a model that is served, and none of the calls may change that.
PLACES = {"name": "plain", "version": 1, "job": "none", "digest": "none"}

SPELLINGS: dict[str, Callable[[str], str]] = {
    "line feed": lambda path: f"{path}%0A",
    "two line feeds": lambda path: f"{path}%0a%0a",
    "carriage return": lambda path: f"{path}%0D%0A",
    "line separator": lambda path: f"{path}%E2%80%A8",
    "next line": lambda path: f"{path}%C2%85",
    "line feed before": lambda path: f"/%0A{path}",
    "line feed within": lambda path: path.replace("/", "%0A/"),
    "null": lambda path: f"{path}%00",
    "space": lambda path: f"{path}%20",
    "tab": lambda path: f"{path}%09",
    "slash behind": lambda path: f"{path}/",
    "encoded slash behind": lambda path: f"{path}%2F",
    "slash before": lambda path: f"/{path}",
    "slashes": lambda path: path.replace("/", "//"),
    "encoded slashes": lambda path: "/" + path[1:].replace("/", "%2F"),
    "backslashes": lambda path: "/" + path[1:].replace("/", "%5C"),
    "capitals": lambda path: path.upper(),
    "parameter": lambda path: f"{path};v=1",
    "parameters": lambda path: "/" + path[1:].replace("/", ";a=b/"),
    "dot": lambda path: f"{path}/.",
    "dots": lambda path: f"/healthz/..{path}",
    "dots behind": lambda path: f"{path}/../../healthz",
    "encoded dots": lambda path: f"/docs/%2e%2e{path}",
    "dot before": lambda path: f"/.{path}",
    "letters": lambda path: "/" + "".join(c if c == "/" else f"%{ord(c):02x}" for c in path[1:]),
    "last letter": lambda path: f"{path[:-1]}%{ord(path[-1]):02X}",
    "twice encoded": lambda path: f"{path[:-1]}%25{ord(path[-1]):02X}",
    "overlong": lambda path: path.replace("/", "%C0%AF"),
    "query": lambda path: f"{path}?x=/healthz",
    "encoded query": lambda path: f"{path}%3F/healthz",
    "fragment": lambda path: f"{path}%23/healthz",
    "whole address": lambda path: f"http://test{path}",
    "extension": lambda path: f"{path}.json",
}
AS_WRITTEN = {"as written": lambda path: path}
METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "PROPFIND")


@pytest.fixture(scope="module")
def server(listen: Any, repository: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    keys = tmp_path_factory.mktemp("keys") / "keys"
    keys.write_text(FILE)
    with listen(repository, proof="off", api_keys=keys, poll_seconds=0) as server:
        yield server


Ask = Callable[[str, str, str | None], tuple[int, Any]]


@pytest.fixture
def ask(server: Any) -> Iterator[Ask]:
    """Ask for a path as it is spelt, which most clients would mend first."""
    connection = http.client.HTTPConnection(server.address, timeout=60)

    def asked(method: str, path: str, key: str | None) -> tuple[int, Any]:
        connection.request(method, path, headers=bearer(key) if key else {})
        answer = connection.getresponse()
        body = answer.read()
        try:
            return answer.status, json.loads(body or b"{}")
        except ValueError:  # what is no JSON is no refusal
            return answer.status, {}

    yield asked
    connection.close()


@pytest.fixture(autouse=True)
def nothing_changes(server: Any, ask: Ask) -> Iterator[None]:
    yield
    models = ask("GET", "/models", ADMIN)[1]["models"]
    assert [model["versions"] for model in models] == [[1], [2, 10]]
    assert not server.app.state.job_queue.pending


@pytest.mark.slow
def test_no_spelling_opens_what_a_key_does_not(ask: Ask) -> None:
    for spelling, holder in [
        (spelling, holder)
        for spelling in {**AS_WRITTEN, **SPELLINGS}
        for holder in HOLDERS
        # To whom both scopes may do all, and whose key nobody knows, spellings make no difference.
        if spelling == "as written" or holder in ("nobody", "infer", "admin")
    ]:
        key, allowed = HOLDERS[holder]
        for method, template, needed in CALLS + OPEN + ABSENT:
            if needed == "nothing" or needed in allowed:
                continue
            path = {**AS_WRITTEN, **SPELLINGS}[spelling](template.format(**PLACES))
            status, said = ask(method, path, key)
            if not allowed:
                assert status in (400, 401), (method, path)
            else:
                assert status in (400, 401, 403, 404, 405), (method, path)
                # A 404 is the router's own: no handler was asked whether there is such a model.
                assert status != 404 or "There is nothing at" in said["error"], (method, path, said)


@pytest.mark.parametrize("method", METHODS)
def test_no_other_method_opens_what_a_key_does_not(ask: Ask, method: str) -> None:
    taken = {(m, template): needed for m, template, needed in CALLS + OPEN + ABSENT}
    for key, allowed in HOLDERS.values():
        for template in {template for _, template in taken}:
            needed = taken.get((("GET" if method == "HEAD" else method), template))
            if needed is not None and (needed == "nothing" or needed in allowed):
                continue
            status, _ = ask(method, template.format(**PLACES), key)
            if needed is None:
                unguarded = any(
                    n == "nothing" for (_, each), n in taken.items() if each == template
                )
                assert status == (405 if allowed or unguarded else 401), (method, template)
            else:
                assert status == (403 if allowed else 401), (method, template)


@pytest.mark.parametrize(
    "path", ["/nothing", "/static/x", "/v2/", "/docs/x", "/console/x", "/console/", "/redoc", "*"]
)
def test_what_is_not_there_is_told_to_keys_alone(ask: Ask, path: str) -> None:
    for key, allowed in HOLDERS.values():
        for method in ("GET", "POST", "DELETE"):
            assert ask(method, path, key)[0] in ((404, 405) if allowed else (401,))


def test_methods_of_one_path_are_allowed_together(server: Any) -> None:
    answer = httpx.post(f"{server.url}/audits/jobs/none", headers=bearer(ADMIN))
    assert answer.status_code == 405
    assert answer.headers["Allow"] == "DELETE, GET, HEAD"


def endpoint() -> None:
    """Answer nothing."""


@pytest.mark.parametrize(
    "route",
    [
        APIRoute("/open", endpoint),
        Route("/open", endpoint),
        Mount("/open", Starlette()),
        WebSocketRoute("/open", endpoint),
    ],
)
def test_a_service_with_a_route_without_a_scope_is_not_built(
    monkeypatch: pytest.MonkeyPatch, route: Any
) -> None:
    health_routes = service.app.health_routes
    monkeypatch.setattr(service.app, "health_routes", lambda: [*health_routes(), route])
    with pytest.raises(TypeError, match="'/open' says of no call who may make it"):
        create_app(Settings())


def test_a_route_is_not_made_without_a_scope() -> None:
    with pytest.raises(TypeError, match="needs"):
        ServiceRoute("/open", endpoint)  # type: ignore[call-arg]


@pytest.mark.anyio
async def test_a_route_that_is_added_later_is_refused_too() -> None:
    app = create_app(Settings())
    app.get("/open")(endpoint)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
        with pytest.raises(TypeError, match="'/open' says of no call who may make it"):
            await client.get("/open")
    app = create_app(Settings())
    app.build_middleware_stack()
    with pytest.raises(AttributeError):
        app.get("/open")(endpoint)


class TestReadiness:
    """A probe without a key learns yes or no."""

    PATHS = ("/readyz", "/v2/health/ready")

    @pytest.fixture
    def ended(self, server: Any) -> Iterator[None]:
        server.app.state.data_plane.ending = True
        yield
        server.app.state.data_plane.ending = False

    @pytest.mark.usefixtures("ended")
    @pytest.mark.parametrize("path", PATHS)
    def test_the_reason_is_told_to_keys_alone(self, ask: Ask, path: str) -> None:
        for key, allowed in HOLDERS.values():
            status, said = ask("GET", path, key)
            assert status == 503
            assert ("ending" in said["error"]) == bool(allowed)

    @pytest.mark.parametrize("path", PATHS)
    def test_a_model_that_is_gone_is_not_named(self, ask: Ask, server: Any, path: str) -> None:
        repository = server.app.state.data_plane.repository
        repository.default = "a-model-of-ours"
        try:
            for key, allowed in HOLDERS.values():
                status, said = ask("GET", path, key)
                assert status == 503
                assert ("a-model-of-ours" in said["error"]) == bool(allowed)
        finally:
            repository.default = "turning"


class TestModelControl:
    """Models change by request where somebody decided who may ask."""

    async def statuses(self, open_client: Any, repository: Path, **options: Any) -> list[int]:
        async with open_client(repository, proof="off", poll_seconds=0, **options) as client:
            statuses = []
            for what in ("load", "unload"):
                answer = await client.post(f"/v2/repository/models/none/{what}")
                statuses.append(answer.status_code)
                if answer.status_code == 403:
                    assert "ORBITSERVE_MODEL_CONTROL=true" in answer.json()["error"]
                    assert "WWW-Authenticate" not in answer.headers
            return statuses

    @pytest.mark.anyio
    async def test_without_keys_it_is_off(self, open_client: Any, repository: Path) -> None:
        assert await self.statuses(open_client, repository) == [403, 403]

    @pytest.mark.anyio
    async def test_a_setting_allows_it(self, open_client: Any, repository: Path) -> None:
        assert await self.statuses(open_client, repository, model_control=True) == [404, 404]

    def test_keys_decide_where_there_are_any(self, ask: Ask) -> None:
        for what in ("load", "unload"):
            path = f"/v2/repository/models/none/{what}"
            assert [ask("POST", path, key)[0] for key in (INFER, ADMIN)] == [403, 404]
