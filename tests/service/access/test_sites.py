"""Where no API key is needed, pages of other sites get a visitor's browser to change nothing."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.service.processes import GREY, NPY, serving

UNLOAD = "/v2/repository/models/plain/unload"
LOAD = "/v2/repository/models/plain/load"


@pytest.fixture(scope="module")
def server(listen: Any, repository: Path) -> Iterator[Any]:
    with listen(repository, default_model="turning", model_control=True) as server:
        yield server


@pytest.fixture
def client(server: Any) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=60) as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
        {"Origin": "http://elsewhere.example"},
        {"Origin": "null"},
        {"Origin": "http://127.0.0.1:1"},
        {"Origin": "http://elsewhere.example", "X-Forwarded-Host": "inspection.example"},
    ],
)
def test_a_page_of_another_site_computes_and_changes_nothing(
    client: httpx.Client, headers: dict[str, str]
) -> None:
    """A form needs no leave to be sent there; that its answer is not shown helps nobody."""
    for path in (UNLOAD, "/models/turning/audit", "/classify"):
        answer = client.post(path, content=GREY, headers=NPY | headers)
        assert answer.status_code == 403
        assert answer.json()["error"].startswith("A page of another site asks this;")
    assert client.get("/models/plain").status_code == 200
    assert client.get("/models", headers=headers).status_code == 200  # which that page cannot read


def test_own_pages_and_programs_are_answered(client: httpx.Client, server: Any) -> None:
    for headers in (
        {},
        {"Sec-Fetch-Site": "same-origin", "Origin": "https://behind.a.proxy"},
        {"Sec-Fetch-Site": "none"},
        {"Origin": server.url},
        {"Origin": "https://inspection.example", "X-Forwarded-Host": "inspection.example:443"},
        {"Host": "box.lan", "Origin": "http://box.lan:8080"},
        {"Host": "localhost", "Origin": "http://LOCALHOST:80"},
    ):
        answer = client.post("/classify", content=GREY, headers=NPY | headers)
        assert answer.status_code == 200, (headers, answer.text)
    assert client.post(UNLOAD).status_code == client.post(LOAD).status_code == 200


HOSTS = {
    "rebound.example": 421,
    "rebound.example.:8000": 421,
    "127.0.0.1.rebound.example": 421,
    "localhost.rebound.example": 421,
    "localhost:8000": 200,
    "a.localhost": 200,
    "[::1]:8000": 200,
    "[::ffff:127.0.0.1]": 200,
    "192.0.2.1": 200,
    "orbitserve": 200,
    "press-3.local": 200,
}


@pytest.mark.slow
def test_it_is_called_by_no_name_that_others_give_it(repository: Path) -> None:
    """Whoever owns a name may let it point here, once a browser has loaded their page by it."""
    with serving(repository, default_model="turning") as server:
        for host, status in HOSTS.items():
            for path in ("/models", "/metrics", "/"):
                answer = httpx.get(f"{server.url}{path}", headers={"Host": host}, timeout=60)
                assert answer.status_code == status, host
                assert status == 200 or "by 'localhost'" in answer.json()["error"]
    with serving(repository, default_model="turning", host="0.0.0.0") as server:
        url = server.url.replace("0.0.0.0", "127.0.0.1")
        assert httpx.get(f"{url}/models", headers={"Host": "any.example"}).status_code == 200


def test_keys_keep_pages_out_by_themselves(listen: Any, repository: Path, tmp_path: Path) -> None:
    """Behind a proxy a service has any name, and a key is sent by nobody who does not have it."""
    file = tmp_path / "keys"
    file.write_text("press infer a-key-of-more-than-16-letters\n")
    headers = NPY | {"Host": "any.example", "Origin": "https://other.example"}
    with listen(repository, default_model="turning", api_keys=file) as server:
        asked = {"content": GREY, "timeout": 60}
        assert httpx.post(f"{server.url}/classify", headers=headers, **asked).status_code == 401
        headers["X-API-Key"] = "a-key-of-more-than-16-letters"
        assert httpx.post(f"{server.url}/classify", headers=headers, **asked).status_code == 200
