"""The OpenAPI document and the guide promise what the service does."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from service.errors import ServiceError
from service.protocol import Body, read_parts
from tests.service.access.test_keys import CALLS

pytestmark = pytest.mark.anyio


DOCS = Path(__file__).parents[2] / "docs"
GUIDE, OIP_GUIDE = (DOCS / "http.md").read_text(), (DOCS / "oip.md").read_text()


@pytest.fixture
async def document(client: httpx.AsyncClient) -> Any:
    return (await client.get("/openapi.json")).json()


async def test_every_refusal_has_the_one_shape(document: Any) -> None:
    for path in document["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    schema = response["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/ErrorAnswer"}


async def test_every_call_is_documented_and_its_need_decided(document: Any) -> None:
    calls = {(m.upper(), path) for path, verbs in document["paths"].items() for m in verbs}
    assert calls == {(method, path) for method, path, _ in CALLS}


def test_the_guides_have_every_path() -> None:
    for _, path, _ in CALLS:
        guide = OIP_GUIDE if path.startswith("/v2") else GUIDE
        if guide is OIP_GUIDE:  # which says in a sentence that all exist for one version too
            path = path.replace("/versions/{version}", "")
        assert re.search(rf"[` ]{re.escape(path)}`", guide), path


async def test_the_documented_examples_are_answered(
    client: httpx.AsyncClient, document: Any
) -> None:
    body = document["paths"]["/classify"]["post"]["requestBody"]["content"]["application/json"]
    for images, example in zip((1, 2), body["examples"].values(), strict=True):
        response = await client.post("/classify", json=example["value"])
        assert response.status_code == 200
        assert len(response.json()["predictions"]) == images


async def test_every_documented_content_type_is_read(document: Any) -> None:
    for kind in document["paths"]["/classify"]["post"]["requestBody"]["content"]:
        try:
            read_parts(Body(kind, b"x"), max_images=1)
        except ServiceError as error:
            assert error.status != 415, kind


async def test_the_sentences_of_the_guide_are_those_that_are_answered(
    client: httpx.AsyncClient, png_announcing: Callable[[int], bytes]
) -> None:
    for path, content, kind in (
        ("/classify", b"", "image/png"),
        ("/classify", b"a text file", "image/png"),
        ("/classify", png_announcing(60_000), "image/png"),
        ("/classify", b"a text file", "text/plain"),
        ("/models/none/classify", b"any", "image/png"),
        ("/classify", b"{}", "application/json"),
        ("/classify", bytes(2**26), "image/png"),
        ("/classify?topk=3", b"any", "image/png"),
    ):
        response = await client.post(path, content=content, headers={"Content-Type": kind})
        sentence = response.json()["error"].replace("plain, turning.", "...")
        assert f"| {response.status_code} | {sentence} |" in GUIDE


async def test_the_page_of_the_calls_is_served(client: httpx.AsyncClient) -> None:
    assert "openapi.json" in (await client.get("/docs")).text


async def test_what_was_left_unsaid_is_answered_as_documented(
    client: httpx.AsyncClient, document: Any
) -> None:
    """Refusals of whatever route, fields that are null, and types other than the usual one."""
    paths = document["paths"]

    async def answered(method: str, path: str, template: str = "", **sent: Any) -> Any:
        answer = await client.request(method, path, **sent)
        said = paths[template or path][method.lower()]["responses"][str(answer.status_code)]
        return answer, said["content"][answer.headers["Content-Type"].partition(";")[0]]["schema"]

    # Which the connection refuses: tests/service/test_wire.py.
    assert all("400" in each["responses"] for verbs in paths.values() for each in verbs.values())
    for headers in ({"Origin": "https://elsewhere.example"}, {"Content-Encoding": "br"}):
        for path in ("/v2/repository/index", "/classify"):
            answer, _ = await answered("POST", path, content=b"{}", headers=headers)
            assert answer.status_code in (403, 415)
    body = paths["/v2/repository/index"]["post"]["requestBody"]["content"]["application/json"]
    assert body["schema"]["properties"]["ready"]["type"] == ["boolean", "null"]
    answer, _ = await answered("POST", "/v2/repository/index", json={"ready": None})
    assert answer.status_code == 200
    audit = "/models/{name}/audit"
    for report_format, kind in (("sarif", "object"), ("junit", "string"), ("in-toto", "object")):
        path = audit.format(name="turning") + f"?format={report_format}"
        assert (await answered("POST", path, audit))[1] == {"type": kind}
    accept = {"Accept": "application/openmetrics-text; version=1.0.0"}
    answer, _ = await answered("GET", "/metrics", headers=accept)
    assert answer.headers["Content-Type"].startswith("application/openmetrics-text")
