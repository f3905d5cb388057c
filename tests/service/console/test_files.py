"""The page and its files come from the package, under a strict policy, to whoever asks."""

import re
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import httpx
import pytest

from tests.service.access.test_keys import FILE

pytestmark = pytest.mark.anyio
ROOT = Path(__file__).parents[3]
FOLDER = ROOT / "service" / "api" / "console"
MOST_BYTES = 150_000


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.links: list[str] = []
        self.inline: list[str] = []
        self.ids: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        for name, value in attrs:
            if name in ("src", "href", "srcset", "action", "data", "poster"):
                self.links.append(value or "")
            if name == "style" or name.startswith("on"):
                self.inline.append(f"{tag} {name}")
            if name == "id":
                self.ids.append(value or "")
        if tag == "style" or (tag == "script" and not dict(attrs).get("src")):
            self.inline.append(tag)


@pytest.fixture(params=["/", "/help"])
async def links(client: httpx.AsyncClient, request: pytest.FixtureRequest) -> _Links:
    found = _Links()
    found.feed((await client.get(request.param)).text)
    return found


async def test_nothing_comes_from_elsewhere(client: httpx.AsyncClient, links: _Links) -> None:
    assert not links.inline
    assert len(links.ids) == len(set(links.ids))
    for link in links.links:
        assert not urlsplit(link).netloc
        assert not link.startswith("/")  # or a proxy that adds a prefix would have to rewrite it
        if link.startswith("#"):
            assert link[1:] in links.ids
        elif link not in ("docs", "openapi.json"):  # which take seconds, and have their own tests
            assert (await client.get(urljoin("/", link))).status_code == 200
    for file in FOLDER.glob("static/*.*s*"):
        outside = re.findall(r"https?://(?!www\.w3\.org/)|@import|url\(", file.read_text())
        assert not outside, file.name


async def test_what_a_script_imports_is_there(client: httpx.AsyncClient) -> None:
    for file in FOLDER.glob("static/*.js"):
        for name in re.findall(r'from "\./([^"]+)"', file.read_text()):
            assert (await client.get(f"/console/{name}")).status_code == 200


async def test_the_policy_is_strict(client: httpx.AsyncClient) -> None:
    for path in ("/", "/help", "/console/main.js", "/console/style.css", "/console/icon.svg"):
        headers = (await client.get(path)).headers
        policy = dict(
            each.strip().split(" ", 1) for each in headers["Content-Security-Policy"].split(";")
        )
        assert policy["default-src"] == policy["base-uri"] == policy["form-action"] == "'none'"
        assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
        assert policy["frame-ancestors"] == "'none'"
        assert headers["X-Content-Type-Options"] == "nosniff"


async def test_a_browser_that_has_a_file_is_told_so(client: httpx.AsyncClient) -> None:
    first = await client.get("/console/main.js")
    assert first.headers["Content-Type"] == "text/javascript; charset=utf-8"
    assert first.headers["Cache-Control"] == "no-cache"
    tag = {"If-None-Match": first.headers["ETag"]}
    again = await client.get("/console/main.js", headers=tag)
    assert (again.status_code, again.content) == (304, b"")
    assert (await client.get("/", headers=tag)).status_code == 200
    assert (await client.head("/")).status_code == 200


@pytest.mark.parametrize("console", [True, False])
async def test_it_can_be_left_out(make_app: Any, repository: Path, *, console: bool) -> None:
    app = make_app(repository, console=console)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://test") as visitor:
        for path in ("/", "/help", "/console/main.js"):
            assert (await visitor.get(path)).status_code == (200 if console else 404)


@pytest.mark.slow
async def test_it_needs_no_key(open_client: Any, repository: Path, tmp_path: Path) -> None:
    keys = tmp_path / "keys"
    keys.write_text(FILE)
    async with open_client(repository, proof="off", api_keys=keys) as locked:
        for path in ("/", "/help", "/console/main.js", "/console/palette.css"):
            assert (await locked.get(path)).status_code == 200
        assert (await locked.get("/models")).status_code == 401


def test_it_is_small() -> None:
    assert sum(file.stat().st_size for file in FOLDER.glob("static/*")) < MOST_BYTES


def test_the_wheel_holds_its_files() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    patterns = project["tool"]["setuptools"]["package-data"]["service.api.console"]
    packed = {file for pattern in patterns for file in FOLDER.glob(pattern)}
    assert packed == {file for file in FOLDER.rglob("*.*") if file.suffix not in (".py", ".pyc")}


async def test_help_names_pages_that_there_are(client: httpx.AsyncClient) -> None:
    said = (await client.get("/help")).text
    assert "<code>make docs</code>" in said
    pages = re.findall(r"<code>(docs/[\w-]+\.md)</code>", said)
    assert len(pages) >= 10
    assert [page for page in pages if not (ROOT / page).is_file()] == []


async def test_every_part_of_the_page_is_explained(client: httpx.AsyncClient) -> None:
    parts = re.findall(r'<a href="#\w+">(\w+)</a>', (await client.get("/")).text)
    explained = re.findall(r"<dt>([^<]+)</dt>", (await client.get("/help")).text)
    assert set(parts) <= set(explained)
    assert {"PASS", "FAIL", "INCONCLUSIVE", "Proved", "Measured", "Not claimed"} <= set(explained)
