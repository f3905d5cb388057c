# ruff: noqa: ASYNC240 - files of a few bytes
"""Keys decide who may call what, tell nothing about themselves, and change while it runs."""

import asyncio
import hashlib
import hmac
import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.auth import ApiKeys
from service.auth.keys import read_keys
from service.settings import ConfigurationError
from tests.permissions import held_to_permissions
from tests.service.observability.scrape import scrape
from tests.service.processes import NPY, npy

pytestmark = pytest.mark.anyio

Open = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]

INFER, ADMIN, BOTH = "press-3-secret-key", "auditor-secret-key", "platform-secret-key"
DIGEST = hashlib.sha256(ADMIN.encode()).hexdigest()
FILE = f"""
# name    scopes       key
press-3   infer        {INFER}
auditor   admin        sha256:{DIGEST}
platform  infer,admin  {BOTH}
"""


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "keys"
    path.write_text(FILE)
    return path


@pytest.fixture(scope="module")
async def locked(
    open_client: Open, repository: Path, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[httpx.AsyncClient]:
    path = tmp_path_factory.mktemp("keys") / "keys"
    path.write_text(FILE)
    async with open_client(repository, proof="off", api_keys=path, threads=1) as client:
        yield client


@pytest.fixture
async def fresh(
    open_client: Open, repository: Path, file: Path
) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(repository, proof="off", api_keys=file, threads=1) as client:
        yield client


CALLS = [
    ("POST", "/classify", "infer"),
    ("POST", "/models/{name}/classify", "infer"),
    ("POST", "/models/{name}/versions/{version}/classify", "infer"),
    ("POST", "/v2/models/{name}/infer", "infer"),
    ("POST", "/v2/models/{name}/versions/{version}/infer", "infer"),
    ("POST", "/models/{name}/audit", "admin"),
    ("POST", "/models/{name}/versions/{version}/audit", "admin"),
    ("GET", "/audits", "admin"),
    ("GET", "/audits/compare", "admin"),
    ("POST", "/audits/compare", "admin"),
    ("GET", "/audits/history", "admin"),
    ("GET", "/audits/{digest}", "admin"),
    ("GET", "/audits/jobs/{job}", "admin"),
    ("DELETE", "/audits/jobs/{job}", "admin"),
    ("GET", "/audits/jobs/{job}/report", "admin"),
    ("POST", "/v2/repository/models/{name}/load", "admin"),
    ("POST", "/v2/repository/models/{name}/unload", "admin"),
    ("POST", "/v2/repository/index", "key"),
    ("GET", "/models", "key"),
    ("GET", "/models/{name}", "key"),
    ("GET", "/models/{name}/versions/{version}", "key"),
    ("GET", "/models/{name}/proof", "key"),
    ("GET", "/models/{name}/versions/{version}/proof", "key"),
    ("GET", "/metrics", "key"),
    ("GET", "/v2", "key"),
    ("GET", "/v2/models/stats", "key"),
    *(
        ("GET", f"/v2/models/{{name}}{of}{what}", "key")
        for of in ("", "/versions/{version}")
        for what in ("", "/ready", "/config", "/stats")
    ),
    ("GET", "/healthz", "nothing"),
    ("GET", "/readyz", "nothing"),
    ("GET", "/v2/health/live", "nothing"),
    ("GET", "/v2/health/ready", "nothing"),
]

PLACES = {"version": 10, "job": "none", "digest": "none"}


async def test_without_the_right_key_nothing_is_answered(locked: httpx.AsyncClient) -> None:
    keys = {None: set(), INFER: {"key", "infer"}, ADMIN: {"key", "admin"}, "x" * 20: set()}
    for method, template, needed in CALLS:
        # A model that is not there: who may call is told so, and nothing is changed.
        path = template.format(**PLACES | {"name": "none"})
        for key, allowed in keys.items():
            answer = await locked.request(method, path, headers=bearer(key) if key else {})
            if needed == "nothing" or needed in allowed:
                assert answer.status_code not in (401, 403), (method, path, key)
            else:
                assert answer.status_code == (403 if allowed else 401), (method, path, key)
                assert set(answer.json()) == {"error"}
                assert answer.headers["WWW-Authenticate"].startswith('Bearer realm="orbitserve"')
                assert answer.headers["X-Request-ID"]


async def test_what_a_key_was_needed_for_is_kept_by_no_shared_cache(
    locked: httpx.AsyncClient,
) -> None:
    """RFC 9111, 3.5 keeps them from answers to `Authorization` alone."""
    for method, template, needed in CALLS:
        path = template.format(**PLACES | {"name": "turning"})
        if method != "GET" or path.endswith("/proof"):  # which takes seconds
            continue
        answer = await locked.get(path, headers={"X-API-Key": BOTH})
        kept = answer.headers.get("Cache-Control", "")
        assert needed == "nothing" or "private" in kept or "no-store" in kept, path


async def test_a_challenge_says_what_is_missing(locked: httpx.AsyncClient) -> None:
    none = await locked.post("/classify")
    assert none.headers["WWW-Authenticate"] == 'Bearer realm="orbitserve"'
    wrong = await locked.post("/classify", headers=bearer("y" * 30))
    assert wrong.headers["WWW-Authenticate"] == 'Bearer realm="orbitserve", error="invalid_token"'
    weak = await locked.post("/models/turning/audit", headers=bearer(INFER))
    assert weak.headers["WWW-Authenticate"] == (
        'Bearer realm="orbitserve", error="insufficient_scope", scope="admin"'
    )
    assert weak.json()["error"] == (
        "The API key 'press-3' may not do this; a key with the scope 'admin' is accepted."
    )


@pytest.mark.parametrize(
    "headers",
    [
        bearer(INFER),
        {"authorization": f"bearer   {INFER}"},
        {"X-API-Key": INFER},
        {"X-API-Key": INFER, "Authorization": "Basic eDp5"},
    ],
)
async def test_a_key_comes_in_either_header(
    locked: httpx.AsyncClient, images: Any, headers: dict[str, str]
) -> None:
    answer = await locked.post("/classify", content=npy(images[:1]), headers=NPY | headers)
    assert answer.status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {"Authorization": INFER},
        {"Authorization": "Bearer "},
        {"Authorization": "Basic " + INFER},
        {"X-API-Key": ""},
        {"X-API-Key": DIGEST},
        {"X-API-Key": f"sha256:{DIGEST}"},
        {"X-API-Key": INFER[:-1]},
        {"X-API-Key": INFER + "y"},
        {"X-API-Key": "kéy-kéy-kéy-kéy-kéy".encode("latin-1")},
    ],
)
async def test_what_is_no_key_is_401(locked: httpx.AsyncClient, headers: Any) -> None:
    assert (await locked.get("/models", headers=headers)).status_code == 401


async def test_all_keys_are_compared_in_constant_time(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each call compares every key's digest, whether the first, the last or none is presented."""
    keys = ApiKeys(file)
    keys.open()
    compared: list[tuple[bytes, bytes]] = []

    def compare(one: bytes, other: bytes) -> bool:
        compared.append((one, other))
        return hmac_compare(one, other)

    hmac_compare = hmac.compare_digest
    monkeypatch.setattr(hmac, "compare_digest", compare)
    accepted = {hashlib.sha256(key.encode()).digest() for key in (INFER, ADMIN, BOTH)}
    for presented, name in ((INFER, "press-3"), (BOTH, "platform"), ("z" * 3, None), ("", None)):
        compared.clear()
        found = keys.find(presented)
        assert (found.name if found else None) == name
        digest = hashlib.sha256(presented.encode()).digest()
        assert {
            (set(pair) - {digest}).pop() if len(set(pair)) > 1 else digest for pair in compared
        } == accepted
        assert len(compared) == 3
        assert all(digest in pair for pair in compared)


def test_no_key_is_equal_to_another_by_operator(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What says that all are different is believed: nothing but `compare_digest` decides."""
    keys = ApiKeys(file)
    keys.open()
    monkeypatch.setattr(hmac, "compare_digest", lambda *_: False)
    assert keys.find(INFER) is None


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.auth.keys.LOOK_EVERY", 0.0)


@pytest.mark.usefixtures("impatient")
async def test_keys_are_read_again_when_the_file_changes(
    fresh: httpx.AsyncClient, file: Path, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    async def status(key: str) -> int:
        return (await fresh.get("/models", headers=bearer(key))).status_code

    assert [await status(key) for key in (INFER, "another-secret-key")] == [200, 401]
    # A secret that is mounted changes by a renamed link.
    replacement = file.with_name("new")
    replacement.write_text("other infer another-secret-key\n")
    replacement.replace(file)
    assert [await status(key) for key in (INFER, "another-secret-key")] == [401, 200]
    for broken in ("other infer short", "", "\xff"):
        file.write_text(broken, "latin-1")
        assert [await status(key) for key in (INFER, "another-secret-key")] == [401, 200]
    file.unlink()
    assert await status("another-secret-key") == 200
    lines = logged()
    kept = [line["reason"] for line in lines if "stay as they were" in line["event"]]
    assert len(kept) >= 4
    assert "another-secret-key" not in str(lines)
    file.write_text(FILE)
    assert await status(INFER) == 200


@pytest.mark.usefixtures("impatient")
def test_a_file_that_could_not_be_read_is_read_once_it_can(tmp_path: Path) -> None:
    """Whoever withdrew a key, and then let the service read the file, had not withdrawn it."""
    file, new = tmp_path / "keys", tmp_path / "new"
    file.write_text("old infer an-old-secret-key\n")
    keys = ApiKeys(file)
    keys.open()
    new.write_text("new infer a-new-secret-key\n")
    new.chmod(0o000)
    new.replace(file)
    with held_to_permissions():
        assert keys.find("an-old-secret-key") is not None
        file.chmod(0o600)
        assert keys.find("an-old-secret-key") is None
        assert keys.find("a-new-secret-key") is not None


def test_the_file_is_looked_at_once_a_second_and_no_more(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 100.0
    monkeypatch.setattr("service.auth.keys.time.monotonic", lambda: now)
    keys = ApiKeys(file)
    keys.open()
    keys.find(INFER)
    file.write_text("other infer another-secret-key\n")
    assert keys.find(INFER)
    now = 101.5
    assert not keys.find(INFER)


@pytest.mark.parametrize(
    "line",
    [
        "name key-of-16-letters",
        "name infer key-of-16-letters more",
        "name root key-of-16-letters",
        "name infer, key-of-16-letters",
        "na/me infer key-of-16-letters",
        "name infer key-of-15-chars",
        "name infer sha256:00",
        "name infer sha256:" + "0" * 63 + "G",
        "name infer kéy-of-17-letters",
    ],
)
def test_a_wrong_line_is_named_and_not_shown(tmp_path: Path, line: str) -> None:
    file = tmp_path / "keys"
    file.write_text(f"good infer key-of-sixteen-letters\n\n{line}\n")
    with pytest.raises(ConfigurationError) as refused:
        read_keys(file)
    assert "Line 3 of the file of API keys" in str(refused.value)
    assert line.split()[-1] not in str(refused.value)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("# nothing\n", "holds no key"),
        ("a infer key-of-sixteen-letters\na infer key-of-17-letters-it-is\n", "holds a name twice"),
        ("a infer key-of-sixteen-letters\nb admin key-of-sixteen-letters\n", "holds a key twice"),
    ],
)
async def test_a_service_with_wrong_keys_does_not_start(
    open_client: Open, repository: Path, tmp_path: Path, text: str, why: str
) -> None:
    file = tmp_path / "keys"
    with pytest.raises(ConfigurationError, match="cannot be read: No such file"):
        async with open_client(repository, api_keys=file):
            pass
    file.write_text(text)
    with pytest.raises(ConfigurationError, match=why):
        async with open_client(repository, api_keys=file):
            pass


async def test_names_are_logged_and_keys_are_not(
    locked: httpx.AsyncClient, logged: Callable[[], list[dict[str, Any]]]
) -> None:
    await locked.get("/models", headers=bearer(INFER))
    await locked.post("/models/turning/audit", headers=bearer(INFER))
    await locked.get("/models", headers=bearer("q" * 40))
    await asyncio.sleep(0)  # the lines are written when the event loop comes round
    lines = [line for line in logged() if line["event"] == "request"]
    assert [line.get("key") for line in lines] == ["press-3", "press-3", None]
    assert [line.get("refusal") for line in lines] == [None, "forbidden", "unauthenticated"]
    for secret in (INFER, "q" * 40):
        assert secret not in str(lines)


async def test_refused_keys_are_counted(fresh: httpx.AsyncClient) -> None:
    await fresh.get("/models")
    await fresh.get("/models", headers=bearer("q" * 40))
    await fresh.post("/models/turning/audit", headers=bearer(INFER))
    found = await scrape(fresh, headers=bearer(ADMIN))
    assert found("orbitserve_rejections_total", reason="unauthenticated") == 2
    assert found("orbitserve_rejections_total", reason="forbidden") == 1
    assert found("nv_inference_request_failure") == 0


async def test_the_document_shows_how_a_key_is_sent(
    locked: httpx.AsyncClient, client: httpx.AsyncClient
) -> None:
    for _ in range(2):
        document = (await locked.get("/openapi.json")).json()
    schemes = document["components"]["securitySchemes"]
    assert schemes["bearer"] == {"type": "http", "scheme": "bearer"}
    assert schemes["header"] == {"type": "apiKey", "in": "header", "name": "X-API-Key"}
    needs = {"nothing": [], "key": [[], []], "infer": [["infer"]] * 2, "admin": [["admin"]] * 2}
    for method, path, needed in CALLS:
        operation = document["paths"][path][method.lower()]
        scopes = [scopes for each in operation["security"] for scopes in each.values()]
        assert scopes == needs[needed]
        assert ("401" in operation["responses"]) == (needed != "nothing")
        assert ("403" in operation["responses"]) == (needed in ("infer", "admin"))
    assert "securitySchemes" not in (await client.get("/openapi.json")).text


async def test_a_body_is_not_read_without_a_key(locked: httpx.AsyncClient) -> None:
    app = locked.app
    scope = {
        "type": "http", "method": "POST", "path": "/classify", "query_string": b"",
        "headers": [], "http_version": "1.1", "root_path": "", "scheme": "http",
        "server": ("test", 80), "client": ("test", 1),
    }  # fmt: skip
    sent: list[Any] = []

    async def receive() -> Any:
        raise AssertionError("the body was read")

    async def send(message: Any) -> None:
        sent.append(message)

    await app(scope, receive, send)
    assert sent[0]["status"] == 401


def test_the_guide_shows_a_file_that_is_read(tmp_path: Path) -> None:
    guide = (Path(__file__).parents[3] / "docs" / "operations.md").read_text()
    (example,) = re.findall(r"```keys\n(.*?)```", guide, re.DOTALL)
    file = tmp_path / "keys"
    file.write_text(example)
    assert len(read_keys(file)) > 1
