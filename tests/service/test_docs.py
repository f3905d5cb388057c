"""The page of the calls: all of them, from this package alone, under a strict policy."""

import re
import tomllib
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from tests.axe import violations
from tests.chromium import started
from tests.service.access.test_keys import ADMIN, CALLS, FILE

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[2]


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.loaded: list[str] = []
        self.inline: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href", "srcset", "action", "data", "poster"):
                self.loaded.append(value or "")
            if name == "style" or name.startswith("on"):
                self.inline.append(f"{tag} {name}")
        if tag == "style" or (tag == "script" and not dict(attrs).get("src")):
            self.inline.append(tag)


async def test_all_that_it_loads_comes_with_the_package(client: httpx.AsyncClient) -> None:
    page = await client.get("/docs")
    assert page.headers["Content-Type"] == "text/html; charset=utf-8"
    links = _Links()
    links.feed(page.text)
    assert {"docs/style.css", "docs/script.js", "openapi.json"} <= set(links.loaded)
    assert not links.inline
    for link in links.loaded:
        assert not urlsplit(link).netloc
        assert not link.startswith("/")  # or a proxy that adds a prefix would have to rewrite it
        answer = await client.get(urljoin("/docs", link))
        assert answer.status_code == 200
        assert not re.findall(r"https?:|@import|url\(", answer.text if "docs/" in link else "")


async def test_its_policy_is_strict(client: httpx.AsyncClient) -> None:
    for path in ("/docs", "/docs/style.css", "/docs/script.js"):
        answer = await client.get(path)
        policy = dict(
            each.strip().split(" ", 1)
            for each in answer.headers["Content-Security-Policy"].split(";")
        )
        assert policy["default-src"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    kinds = [
        (await client.get(f"/docs/{n}")).headers["Content-Type"] for n in ("style.css", "script.js")
    ]
    assert kinds == ["text/css; charset=utf-8", "text/javascript; charset=utf-8"]


async def test_it_shows_every_call_and_every_parameter(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    page = (await client.get("/docs")).text
    shown = re.findall(r'<form data-method="(\w+)" data-path="([^"]+)">', page)
    assert sorted(shown) == sorted(
        (method.upper(), path) for path, verbs in document["paths"].items() for method in verbs
    )
    for verbs in document["paths"].values():
        for operation in verbs.values():
            part = page.split(f'<details id="{operation["operationId"]}">')[1].split("</details>")[
                0
            ]
            for parameter in operation.get("parameters", []):
                assert f'<input name="{parameter["name"]}"' in part
            for kind in operation.get("requestBody", {}).get("content", {}):
                assert f"<option>{kind}</option>" in part


@pytest.mark.slow
async def test_it_says_which_key_a_call_needs(
    open_client: Any, client: httpx.AsyncClient, repository: Path, tmp_path: Path
) -> None:
    assert "Needs" not in (await client.get("/docs")).text
    keys = tmp_path / "keys"
    keys.write_text(FILE)
    async with open_client(repository, proof="off", api_keys=keys) as locked:
        page = (await locked.get("/docs")).text
    needs = [needed for _, _, needed in CALLS]
    for scope in ("admin", "infer"):
        assert page.count(f"Needs a key with the scope {scope}.") == needs.count(scope)
    assert page.count("Needs any key.") == needs.count("key")


def test_the_wheel_holds_its_files() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["service.api.docs"]
    folder = ROOT / "service" / "api" / "docs"
    packed = {file for pattern in patterns for file in folder.glob(pattern)}
    assert packed == {file for file in folder.rglob("*.*") if file.suffix not in (".py", ".pyc")}
    assert {file.suffix for file in packed} == {".html", ".css", ".js"}


@pytest.mark.slow
@pytest.mark.browser
class TestBrowser:
    """Chromium, which reaches nothing but the service, opens the page and makes a call."""

    @pytest.fixture
    def server(self, listen: Any, repository: Path, tmp_path: Path) -> Iterator[Any]:
        keys = tmp_path / "keys"
        keys.write_text(FILE)
        with listen(repository, proof="off", api_keys=keys) as server:
            yield server

    def test_a_call_is_made(self, server: Any) -> None:
        with started() as browser:
            page = browser.new_page()
            complaints: list[str] = []
            asked: list[str] = []
            page.on("console", lambda message: complaints.append(message.text))
            page.on("pageerror", lambda error: complaints.append(str(error)))
            page.on("request", lambda request: asked.append(request.url))
            page.goto(f"{server.url}/docs")
            call = page.locator("#describe_latest_version")
            call.locator("summary").click()
            call.locator("input[name=name]").fill("turning")
            page.locator("#key").fill(ADMIN)
            call.locator("button").click()
            call.locator("pre", has_text="}").wait_for()  # a function of text is kept out of pages
            answer = call.locator("pre").inner_text()
        assert answer.startswith("200 OK")
        assert '"name": "turning"' in answer
        assert not complaints
        assert all(url.startswith(server.url) for url in asked)

    def test_axe_finds_nothing(self, server: Any) -> None:
        """Neither in the calls nor in an answer, in light and dark."""
        with started() as browser:
            page = browser.new_page(viewport={"width": 390, "height": 844})
            page.goto(f"{server.url}/docs")
            call = page.locator("details", has_text="List what is served").first
            call.locator("summary").click()
            page.locator("#key").fill(ADMIN)
            call.locator("button").click()
            call.locator("pre", has_text="}").wait_for()
            for scheme in ("light", "dark"):
                page.emulate_media(color_scheme=scheme)
                assert violations(page) == []
