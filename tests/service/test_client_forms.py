"""What clients of many kinds send: nulls, packed bodies, base64 in lines, versions, odd texts."""

import base64
import functools
import gzip
import json
import struct
import time
import zlib
from collections.abc import AsyncIterator
from typing import Any

import httpx
import numpy as np
import pytest

from tests.service.processes import NPY, npy

pytestmark = pytest.mark.anyio

JSON = {"Content-Type": "application/json"}
INFER = "/v2/models/turning/infer"
CODINGS = {"gzip": gzip.compress, "deflate": zlib.compress}


def answer_of(response: httpx.Response) -> Any:
    assert response.status_code == 200, response.text
    return response.json()


def refusal_of(response: httpx.Response, *statuses: int) -> str:
    sent = response.request
    assert response.status_code in statuses, (sent.url, sent.content[:200], response.text)
    assert response.headers["Content-Type"] == "application/json"
    assert set(response.json()) == {"error"}
    return str(response.json()["error"])


@functools.cache
def bomb_of(coding: str) -> bytes:
    return CODINGS[coding](bytes(2**26))


@pytest.fixture(scope="module")
async def controlled(open_client: Any, repository: Any) -> AsyncIterator[httpx.AsyncClient]:
    async with open_client(repository, proof="off", model_control=True) as client:
        yield client


class TestNull:
    """A field that is null counts as absent, wherever it stands."""

    def asked(self, images: Any, **changes: Any) -> dict[str, Any]:
        tensor = {
            "name": "image",
            "shape": list(images.shape),
            "datatype": "UINT8",
            "data": images.ravel().tolist(),
        }
        return {"inputs": [tensor | changes.pop("tensor", {})]} | changes

    async def test_an_inference(self, client: httpx.AsyncClient, images: Any) -> None:
        due = answer_of(await client.post(INFER, json=self.asked(images[:2])))
        for changes in [
            {"id": None},
            {"parameters": None},
            {"outputs": None},
            {"model_name": None, "model_version": None, "raw_input_contents": None},
            {"tensor": {"parameters": None}},
            {"tensor": {"parameters": {"content_type": None, "headers": None}}},
            {"tensor": {"parameters": {"binary_data_size": None}}},
            {"tensor": {"parameters": {"shared_memory_region": None}}},
            *(
                {"parameters": {name: None}}
                for name in ("binary_data_output", "timeout", "sequence_id", "priority", "any")
            ),
            {"outputs": [{"name": n, "parameters": None} for n in ("logits", "probabilities")]},
            *(
                {
                    "outputs": [
                        {"name": n, "parameters": {name: None}} for n in ("logits", "probabilities")
                    ]
                }
                for name in ("binary_data", "classification", "shared_memory_region", "any")
            ),
            # All that MLServer's InferenceRequest holds, dumped as it stands.
            {
                "id": None,
                "parameters": {"content_type": None, "headers": None},
                "outputs": None,
                "tensor": {"parameters": {"content_type": None, "headers": None}},
            },
        ]:
            answer = await client.post(INFER, json=self.asked(images[:2], **changes))
            assert answer_of(answer) == due, changes

    @pytest.mark.parametrize("space", ["", " "])
    async def test_data_that_is_null_beside_bytes(
        self, client: httpx.AsyncClient, images: Any, space: str
    ) -> None:
        pixels = images[:2].tobytes()
        sent = {"data": None, "parameters": {"binary_data_size": len(pixels)}}
        header = json.dumps(self.asked(images[:2], tensor=sent)).replace("null", f"{space}null")
        headers = {"Inference-Header-Content-Length": str(len(header))}
        found = await client.post(INFER, content=header.encode() + pixels, headers=headers)
        assert answer_of(found) == answer_of(await client.post(INFER, json=self.asked(images[:2])))

    @pytest.mark.parametrize("changes", [{"tensor": {"data": None}}, {"inputs": None}], ids=str)
    async def test_what_has_to_be_there_is_not_there(
        self, client: httpx.AsyncClient, images: Any, changes: dict[str, Any]
    ) -> None:
        refusal_of(await client.post(INFER, json=self.asked(images[:1], **changes)), 422)

    @pytest.mark.parametrize("name", ["name", "shape", "datatype"])
    async def test_a_required_field_is_named(
        self, client: httpx.AsyncClient, images: Any, name: str
    ) -> None:
        answer = await client.post(INFER, json=self.asked(images[:1], tensor={name: None}))
        assert name in refusal_of(answer, 422)

    @pytest.mark.parametrize("body", [{"ready": None}, {"ready": False, "any": None}], ids=str)
    async def test_the_index(self, client: httpx.AsyncClient, body: Any) -> None:
        due = answer_of(await client.post("/v2/repository/index"))
        assert answer_of(await client.post("/v2/repository/index", json=body)) == due

    @pytest.mark.parametrize("what", ["load", "unload"])
    @pytest.mark.parametrize(
        "body",
        [{"parameters": None}, {"parameters": {"config": None}}, {"parameters": {"x": None}}],
        ids=str,
    )
    async def test_loading(self, controlled: httpx.AsyncClient, what: str, body: Any) -> None:
        answer = await controlled.post(f"/v2/repository/models/none/{what}", json=body)
        assert "There is no model 'none'" in refusal_of(answer, 404)


class TestHead:
    """HEAD is answered wherever GET is, as GET is."""

    @pytest.mark.slow
    async def test_every_call(self, client: httpx.AsyncClient) -> None:
        document = (await client.get("/openapi.json")).json()
        places = {"name": "turning", "version": 10, "job": "x", "digest": "x"}
        paths = [path for path, verbs in document["paths"].items() if "get" in verbs]
        for path in [path.format(**places) for path in paths] + ["/docs", "/openapi.json", "/no"]:
            head, get = await client.head(path), await client.get(path)
            assert head.status_code == get.status_code, path
            assert head.headers["Content-Type"] == get.headers["Content-Type"]
        assert all("head" not in verbs for verbs in document["paths"].values())
        assert (await client.head("/classify")).status_code == 405

    @pytest.mark.slow
    async def test_the_wire_has_no_body(self, listen: Any, repository: Any) -> None:
        with listen(repository, proof="off") as server:
            async with httpx.AsyncClient(base_url=server.url) as client:
                for path in ("/healthz", "/models", "/none", "/docs"):
                    head, get = await client.head(path), await client.get(path)
                    assert head.content == b""
                    assert head.headers["Content-Length"] == str(len(get.content))


class TestPacked:
    """Bodies may be packed on every call that has one."""

    @pytest.mark.parametrize("coding", CODINGS)
    async def test_a_classification(
        self, client: httpx.AsyncClient, images: Any, png: Any, coding: str
    ) -> None:
        for path in (
            "/classify",
            "/models/turning/classify",
            "/models/turning/versions/10/classify",
        ):
            for content, kind in (
                (png(images[0]), "image/png"),
                (npy(images[:40]), "application/x-npy"),
                (npy(np.zeros((64, 1, 64, 64), np.uint8)), "application/x-npy"),
                (json.dumps({"image": base64.b64encode(png(images[0])).decode()}).encode(),
                 "application/json"),
            ):  # fmt: skip
                headers = {"Content-Type": kind}
                due = answer_of(await client.post(path, content=content, headers=headers))
                packed = CODINGS[coding](content)
                headers["Content-Encoding"] = coding
                found = await client.post(path, content=packed, headers=headers)
                assert answer_of(found) == due

    @pytest.mark.parametrize("coding", CODINGS)
    async def test_an_audit(self, client: httpx.AsyncClient, images: Any, coding: str) -> None:
        path = "/models/turning/audit?pictures=false"
        due = answer_of(await client.post(path, content=npy(images[:20]), headers=NPY))
        headers = NPY | {"Content-Encoding": coding}
        packed = CODINGS[coding](npy(images[:20]))
        assert answer_of(await client.post(path, content=packed, headers=headers)) == due

    async def test_a_body_of_the_repository(self, client: httpx.AsyncClient) -> None:
        headers = {"Content-Encoding": "gzip"}
        content = gzip.compress(b'{"ready": true}')
        path = "/v2/repository/index"
        due = answer_of(await client.post(path, json={"ready": True}))
        assert answer_of(await client.post(path, content=content, headers=headers)) == due

    async def test_no_body_is_no_body(self, client: httpx.AsyncClient) -> None:
        headers = {"Content-Encoding": "gzip"}
        assert "empty" in refusal_of(await client.post("/classify", headers=headers), 400)
        answer = await client.post("/models/turning/audit?pictures=false", headers=headers)
        assert answer_of(answer)["data"]["count"] == 500

    async def test_what_is_not_packed_so_is_refused(self, client: httpx.AsyncClient) -> None:
        for coding, content, status, words in [
            ("br", b"x", 415, "'br'; gzip and deflate"),
            ("gzip, gzip", gzip.compress(gzip.compress(b"x")), 415, "one of them at a time"),
            ("gzip", b"no gzip", 400, "is not gzip"),
            ("deflate", gzip.compress(b"x"), 400, "is not deflate"),
            ("gzip", gzip.compress(bytes(5000))[:-9], 400, "is cut off"),
            ("gzip", gzip.compress(b"x") + b"y", 400, "goes on after its end"),
            ("gzip", gzip.compress(gzip.compress(bytes(2**26))), 415, ""),
        ]:
            for path in ["/classify", "/models/turning/audit", INFER]:
                headers = {"Content-Encoding": coding, "Content-Type": "image/png"}
                answer = await client.post(path, content=content, headers=headers)
                assert words in refusal_of(answer, *((status,) if words else (400, 415)))

    @pytest.mark.slow
    @pytest.mark.parametrize("path", ["/classify", "/models/turning/audit", INFER])
    @pytest.mark.parametrize("coding", CODINGS)
    async def test_a_bomb_is_refused_before_it_is_unpacked(
        self, client: httpx.AsyncClient, path: str, coding: str
    ) -> None:
        bomb = bomb_of(coding)
        began = time.process_time()
        answer = await client.post(path, content=bomb, headers={"Content-Encoding": coding})
        assert "unpacks to too much; at most 33554432" in refusal_of(answer, 413)
        assert time.process_time() - began < 5


class TestVersions:
    """A version stands in a path as the repository writes it, whoever is asked."""

    PATHS = (
        ("GET", "/models/turning/versions/{}"),
        ("GET", "/models/turning/versions/{}/proof"),
        ("POST", "/models/turning/versions/{}/classify"),
        ("POST", "/models/turning/versions/{}/audit"),
        ("POST", "/v2/models/turning/versions/{}/infer"),
        ("GET", "/v2/models/turning/versions/{}"),
        ("GET", "/v2/models/turning/versions/{}/ready"),
        ("GET", "/v2/models/turning/versions/{}/config"),
        ("GET", "/v2/models/turning/versions/{}/stats"),
    )

    async def test_no_other_spelling_is_a_version(self, client: httpx.AsyncClient) -> None:
        for version in [
            "abc",
            "%2B10",
            "+10",
            "010",
            "0",
            "-1",
            "1_0",
            "10.0",
            "1e1",
            "%2010",
            "10%20",
            "10%0A",
            "0x0a",
            "%D9%A1%D9%A0",
            "%EF%BC%91%EF%BC%90",
            "9" * 20,
            "9" * 5000,
            "null",
            "true",
        ]:
            sentences = {
                refusal_of(await client.request(method, path.format(version)), 404)
                for method, path in self.PATHS
            }
            assert len(sentences) == 1
            assert "is no version; a positive number is accepted." in sentences.pop()

    async def test_one_that_is_not_there(self, client: httpx.AsyncClient) -> None:
        for method, path in self.PATHS:
            answer = await client.request(method, path.format(3))
            assert "no version 3; the versions are 2, 10" in refusal_of(answer, 404)


class TestBase64:
    @pytest.fixture
    def picture(self, png: Any, images: Any) -> bytes:
        content: bytes = png(images[0])
        return content

    @pytest.mark.parametrize(
        "written",
        [
            lambda content: base64.encodebytes(content).decode(),
            lambda content: base64.encodebytes(content).decode().replace("\n", "\r\n"),
            lambda content: f"\n {base64.b64encode(content).decode()}\t",
            lambda content: f"data:image/png;base64,{base64.b64encode(content).decode()}",
            lambda content: f"DATA:;Base64,{base64.b64encode(content).decode()}",
            lambda content: (
                f"data:image/png;name=a.png;base64,{base64.encodebytes(content).decode()}"
            ),
        ],
    )
    async def test_it_comes_in_lines_and_as_an_address(
        self, client: httpx.AsyncClient, picture: bytes, written: Any
    ) -> None:
        headers = {"Content-Type": "image/png"}
        due = answer_of(await client.post("/classify", content=picture, headers=headers))
        assert answer_of(await client.post("/classify", json={"image": written(picture)})) == due
        two = await client.post("/classify", json={"images": [written(picture)] * 2})
        assert answer_of(two)["predictions"] == due["predictions"] * 2

    async def test_as_many_addresses_as_images_may_be_audited(
        self, client: httpx.AsyncClient, picture: bytes
    ) -> None:
        address = f"data:image/png;base64,{base64.b64encode(picture).decode()}"
        answer = await client.post("/models/turning/audit", json={"images": [address] * 300})
        assert answer_of(answer)["data"]["count"] == 300

    async def test_what_is_no_base64_is_refused(self, client: httpx.AsyncClient) -> None:
        for value in [
            "data:image/png,abcd",
            "data:image/png;base64",
            "x",
            "a" * 5,
            "ab-_",
            "=",
            "é" * 4,
            "data:",
            "https://example.org/a.png",
            "data:a,b;base64,aaaa",
            None,
            1,
            True,
            [],
            {},
            ["aaaa"],
        ]:
            answer = await client.post("/classify", json={"image": value})
            assert "in lines or as a data: address" in refusal_of(answer, 422)


def half(name: str = "\\ud800") -> list[bytes]:
    texts = [
        f'{{"{name}": 1}}',
        f'{{"image": "{name}"}}',
        f'{{"images": ["{name}"]}}',
        f'{{"images": ["aaaa", "{name}\\udc00\\udc00"]}}',
        f'{{"image": "data:{name};base64,aaaa"}}',
    ]
    return [text.encode() for text in texts]


class TestOddTexts:
    """JSON that is strange and JSON nonetheless, and npy headers that evaluate to something."""

    async def test_half_a_character_is_422(self, client: httpx.AsyncClient) -> None:
        for path in ["/classify", "/models/turning/audit"]:
            for body in [*half(), *half("\\udfff"), b'{"\xed\xa0\x80": 1}']:
                refusal_of(await client.post(path, content=body, headers=JSON), 422)

    @pytest.mark.parametrize(
        "body",
        [
            b'{"id": "\\ud800", "inputs": []}',
            b'{"inputs": [{"name": "\\udc00", "shape": [1], "datatype": "UINT8"}]}',
            b'{"inputs": [], "outputs": [{"name": "\\ud800x"}]}',
        ],
    )
    async def test_half_a_character_in_an_inference_is_422(
        self, client: httpx.AsyncClient, body: bytes
    ) -> None:
        assert "half a character" in refusal_of(await client.post(INFER, content=body), 422)
        headers = {"Inference-Header-Content-Length": str(len(body))}
        refusal_of(await client.post(INFER, content=body + b"x", headers=headers), 422)

    async def test_half_a_character_in_the_repository_is_422(self, client: Any) -> None:
        answer = await client.post("/v2/repository/index", content=b'{"\\ud800": 1}')
        refusal_of(answer, 422)

    async def test_half_a_character_is_told_to_whoever_watches(self, client: Any) -> None:
        headers = JSON | {"Accept": "text/event-stream"}
        answer = await client.post("/models/turning/audit", content=half()[0], headers=headers)
        refusal_of(answer, 422)

    async def test_no_value_is_a_defect(self, client: httpx.AsyncClient) -> None:
        for path, frame in [
            ("/classify", '{{"image": {}}}'),
            ("/classify", '{{"images": [{}]}}'),
            ("/models/turning/audit", '{{"images": {}}}'),
            ("/v2/repository/index", '{{"ready": {}, "x": 1}}'),
            ("/v2/repository/index", '{{"parameters": {}, "x": 1}}'),
            (INFER, '{{"inputs": {}}}'),
            (INFER, '{{"inputs": [], "any": {}}}'),
            (INFER, '{{"inputs": [{{"name": "image", "shape": {}, "datatype": "UINT8"}}]}}'),
            (
                INFER,
                '{{"inputs": [{{"name": "image", "shape": [1,1,8,8], "datatype": "UINT8", '
                '"data": {}}}]}}',
            ),
            (
                INFER,
                '{{"inputs": [{{"name": "image", "shape": [1,1,8,8], "datatype": "UINT8", '
                '"parameters": {{"binary_data_size": {}}}}}]}}',
            ),
            (INFER, '{{"inputs": [], "parameters": {{"timeout": {}}}}}'),
            (INFER, '{{"inputs": [], "parameters": {{"sequence_id": {}}}}}'),
            (
                INFER,
                '{{"inputs": [], "outputs": [{{"name": "logits", "parameters": '
                '{{"classification": {}}}}}]}}',
            ),
        ]:
            for value in [
                "1" * 400,
                "1" * 5000,
                "-" + "1" * 5000,
                "1e400",
                "NaN",
                "Infinity",
                "-Infinity",
                "1.5",
                "true",
                "null",
                "[" * 5000 + "]" * 5000,
                '{"a":' * 5000 + "1" + "}" * 5000,
                "[[[[[[1]]]]]]",
            ]:
                body = frame.format(value).encode()
                refusal_of(await client.post(path, content=body, headers=JSON), 400, 413, 422)

    async def test_a_field_that_is_there_twice_is_refused(self, client: httpx.AsyncClient) -> None:
        for body in (b'{"image": "aaaa", "image": "bbbb"}', b'{"images": [], "images": ["aaaa"]}'):
            answer = await client.post("/classify", content=body, headers=JSON)
            assert "there twice" in refusal_of(answer, 400)

    async def test_no_shape_of_an_array_is_a_defect(self, client: httpx.AsyncClient) -> None:
        for shape in [
            "(True, 28, 28)",
            "(28, True)",
            "(True, True)",
            "(False, 28, 28)",
            "(1, True, 4, 4)",
            f"({'9' * 4000}, {'9' * 4000})",
            f"({'9' * 30}, 28)",
            "(-1, 28)",
            "(0, 28)",
            "()",
            "(1,)",
            "(1, 1, 1, 1, 1)",
            "(1.0, 28)",
            "('1', 28)",
            "(None, 28)",
            "(2**31, 1)",
            "[28, 28]",
            "(1e400, 2)",
            "(1j, 2)",
            "((28, 28),)",
            "28",
            "(" * 200 + ")" * 200,
            "(-0, 1)",
        ]:
            text = f"{{'descr': '|u1', 'fortran_order': False, 'shape': {shape}}}"
            statuses = (422,) if "True" in shape else (400, 413, 422)
            answer = await client.post("/classify", content=array(text), headers=NPY)
            refusal_of(answer, *statuses)

    async def test_no_type_of_an_array_is_a_defect(self, client: httpx.AsyncClient) -> None:
        for kind in [
            "'|b1'",
            "'<u9'",
            "[('\\ud800', '|u1')]",
            "('|u1', (2,))",
            "'O'",
            "''",
            "None",
            "1",
            "[('a', '|u1', (2,))]",
            "'|V1'",
            "'<M8[ns]'",
            "{}",
            "'|u1' * 10**9",
            "True",
        ]:
            text = f"{{'descr': {kind}, 'fortran_order': False, 'shape': (1, 8, 8)}}"
            answer = await client.post("/classify", content=array(text), headers=NPY)
            refusal_of(answer, 400, 422)

    @pytest.mark.slow
    async def test_no_parameter_is_a_defect(self, client: httpx.AsyncClient) -> None:
        for value in [
            "9" * 400,
            "9" * 5000,
            "-1",
            "0",
            "1e400",
            "nan",
            "inf",
            "%ED%A0%80",
            "%00",
            "1_0",
            "+1",
            "",
        ]:
            for path, names in (
                ("/classify", ("top_k", "x")),
                (
                    "/models/turning/audit",
                    (
                        "group",
                        "agreement",
                        "confidence",
                        "logit_tolerance",
                        "angles",
                        "resampler",
                        "seed",
                        "angle_agreement",
                        "exhaustive_angles",
                        "labels",
                        "format",
                        "x",
                    ),
                ),
            ):
                for name in names:
                    answer = await client.post(f"{path}?{name}={value}", content=b"no image")
                    refusal_of(answer, 406, 415, 422)
            for name in ("model", "version", "verdict", "limit", "before", "x"):
                refusal_of(await client.get(f"/audits?{name}={value}"), 404, 422)


def array(header: str) -> bytes:
    text = header.encode("latin-1").ljust(118) + b"\n"
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(28 * 28)
