"""What others wrote to talk to Triton and KServe talks to this service unchanged."""

import asyncio
import gzip
import json
import os
import re
import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from service.engine import Inference, select
from service.repository.version import load_version

pytestmark = pytest.mark.anyio

http = pytest.importorskip("tritonclient.http")
aio = pytest.importorskip("tritonclient.http.aio")
Refused = pytest.importorskip("tritonclient.utils").InferenceServerException

Bare = Callable[[Any, int], Inference]


@pytest.fixture(scope="module")
def server(listen: Any, repository: Path) -> Iterator[Any]:
    limits = {"max_batch_size": 100, "max_body_bytes": 2**20}
    with listen(repository, model_control=True, grpc_port=0, **limits) as server:
        yield server


@pytest.fixture(scope="module")
def bare(repository: Path) -> Iterator[Bare]:
    """Classify with the sessions alone, opened beside the service."""
    cpu = select("cpu")
    opened = {each: load_version(repository / "turning" / str(each), cpu, 1) for each in (2, 10)}
    yield lambda images, version: opened[version].session.run(images)
    for each in opened.values():
        each.session.close()


@pytest.fixture
def triton(server: Any) -> Iterator[Any]:
    with http.InferenceServerClient(server.address) as client:
        yield client


@pytest.fixture
async def triton_aio(server: Any) -> AsyncIterator[Any]:
    async with aio.InferenceServerClient(server.address) as client:
        yield client


def image_input(images: Any, *, binary: bool = True) -> Any:
    sent = http.InferInput("image", list(images.shape), "UINT8")
    return sent.set_data_from_numpy(images, binary_data=binary)


def wanted(name: str, *, binary: bool = True, classes: int = 0) -> Any:
    return http.InferRequestedOutput(name, binary_data=binary, class_count=classes)


def assert_bit_for_bit(answer: Any, due: Inference) -> None:
    for name, values in due._asdict().items():
        found = answer.as_numpy(name)
        assert found.dtype == np.float32
        assert found.shape == values.shape
        assert found.tobytes() == values.tobytes(), name


def test_tritonclient_gets_the_bare_sessions_answer(triton: Any, images: Any, bare: Bare) -> None:
    for binary, answered, compressed in product(
        [True, False], [None, "gzip", "deflate"], [None, "gzip", "deflate"]
    ):
        for count in (1, 100):
            answer = triton.infer(
                "turning",
                [image_input(images[:count], binary=binary)],
                outputs=None if binary else [wanted(n, binary=False) for n in Inference._fields],
                request_id="an id",
                request_compression_algorithm=compressed,
                response_compression_algorithm=answered,
            )
            assert_bit_for_bit(answer, bare(images[:count], 10))
            assert answer.get_response()["id"] == "an id"


async def test_tritonclient_for_asyncio_gets_the_same(
    triton_aio: Any, images: Any, bare: Bare
) -> None:
    answers = await asyncio.gather(
        *(
            triton_aio.infer("turning", [image_input(images[k : k + 1])], model_version=version)
            for k in range(10)
            for version in ("2", "10")
        )
    )
    dues = [bare(images[k : k + 1], version) for k in range(10) for version in (2, 10)]
    for answer, due in zip(answers, dues, strict=True):
        np.testing.assert_allclose(answer.as_numpy("logits"), due.logits, rtol=1e-5)
    versions = [answer.get_response()["model_version"] for answer in answers]
    assert versions == ["2", "10"] * 10
    packed = await triton_aio.infer(
        "turning",
        [image_input(images[:50])],
        request_compression_algorithm="gzip",
        response_compression_algorithm="deflate",
    )
    assert_bit_for_bit(packed, bare(images[:50], 10))


def test_asynchronous_calls_of_the_synchronous_client(server: Any, images: Any, bare: Bare) -> None:
    with http.InferenceServerClient(server.address, concurrency=4) as client:
        calls = [client.async_infer("turning", [image_input(images[k : k + 1])]) for k in range(8)]
        for k, call in enumerate(calls):
            due = bare(images[k : k + 1], 10)
            np.testing.assert_allclose(call.get_result().as_numpy("logits"), due.logits, rtol=1e-5)


def test_the_outputs_are_those_asked_for_in_their_order(
    triton: Any, images: Any, bare: Bare
) -> None:
    due = bare(images[:3], 10)
    for binary in (True, False):
        asked = [wanted("probabilities", binary=not binary), wanted("logits", binary=binary)]
        answer = triton.infer("turning", [image_input(images[:3])], outputs=asked)
        assert_bit_for_bit(answer, due)
        names = [each["name"] for each in answer.get_response()["outputs"]]
        assert names == ["probabilities", "logits"]
    answer = triton.infer("turning", [image_input(images[:3])], outputs=[wanted("probabilities")])
    assert answer.as_numpy("logits") is None
    assert answer.as_numpy("probabilities").tobytes() == due.probabilities.tobytes()


def test_classes_are_ranked_with_their_labels(triton: Any, images: Any, bare: Bare) -> None:
    for binary in [True, False]:
        answer = triton.infer(
            "turning",
            [image_input(images[:20])],
            outputs=[wanted("probabilities", binary=binary, classes=2)],
        )
        ranked = answer.as_numpy("probabilities")
        assert ranked.shape == (20, 2)
        probabilities = bare(images[:20], 10).probabilities
        for row, texts in zip(probabilities, ranked, strict=True):
            for text, k in zip(texts, np.argsort(-row)[:2], strict=True):
                text = text.decode() if isinstance(text, bytes) else text
                value, index, label = text.split(":")
                assert (int(index), label) == (k, ("ant", "bee", "cat", "dog")[k])
                assert np.float32(value) == row[k]


def test_metadata_health_and_configuration(triton: Any) -> None:
    assert triton.is_server_live()
    assert triton.is_server_ready()
    assert triton.is_model_ready("turning")
    assert triton.is_model_ready("turning", "2")
    assert not triton.is_model_ready("turning", "3")
    assert not triton.is_model_ready("none")
    server = triton.get_server_metadata()
    assert server["name"] == "orbitserve"
    assert {"binary_tensor_data", "classification", "statistics"} <= set(server["extensions"])
    assert triton.get_model_metadata("turning") == {
        "name": "turning",
        "versions": ["2", "10"],
        "platform": "onnxruntime_onnx",
        "inputs": [{"name": "image", "datatype": "UINT8", "shape": [-1, 1, 8, 8]}],
        "outputs": [
            {"name": "logits", "datatype": "FP32", "shape": [-1, 4]},
            {"name": "probabilities", "datatype": "FP32", "shape": [-1, 4]},
        ],
    }
    config = triton.get_model_config("turning", "2")
    assert (config["max_batch_size"], config["backend"]) == (100, "onnxruntime")
    assert config["input"] == [{"name": "image", "data_type": "TYPE_UINT8", "dims": [1, 8, 8]}]
    assert config["instance_group"] == [{"kind": "KIND_CPU", "count": 1}]


def test_statistics_count_requests_and_images(triton: Any, images: Any) -> None:
    def counted(version: str = "") -> dict[str, Any]:
        stats = triton.get_inference_statistics("turning", version)["model_stats"]
        return {each["version"]: each for each in stats}

    before = counted()
    assert set(before) == {"2", "10"}
    triton.infer("turning", [image_input(images[:3])])
    triton.infer("turning", [image_input(images[:1])])
    with pytest.raises(Refused):
        triton.infer("turning", [image_input(images[:101])])
    after = counted("10")["10"]
    success = after["inference_stats"]["success"]
    assert success["count"] == before["10"]["inference_stats"]["success"]["count"] + 2
    assert success["ns"] > before["10"]["inference_stats"]["success"]["ns"]
    assert after["inference_count"] == before["10"]["inference_count"] + 4
    assert after["last_inference"] >= before["10"]["last_inference"] > 0 or not before
    assert counted("2")["2"]["inference_count"] == before["2"]["inference_count"]
    everything = triton.get_inference_statistics()["model_stats"]
    assert {(each["name"], each["version"]) for each in everything} == {
        ("turning", "2"),
        ("turning", "10"),
        ("plain", "1"),
    }


def test_what_is_not_here_says_so(triton: Any, images: Any) -> None:
    for call in (
        triton.get_trace_settings,
        lambda: triton.get_trace_settings("turning"),
        lambda: triton.update_trace_settings(settings={"trace_level": ["OFF"]}),
        triton.get_log_settings,
        lambda: triton.update_log_settings({"log_info": True}),
        triton.get_system_shared_memory_status,
        lambda: triton.register_system_shared_memory("a", "/a", 64),
        lambda: triton.unregister_system_shared_memory("a"),
        triton.unregister_system_shared_memory,
        triton.get_cuda_shared_memory_status,
        lambda: triton.register_cuda_shared_memory("a", b"handle", 0, 64),
        triton.unregister_cuda_shared_memory,
    ):
        with pytest.raises(Refused, match=r"This service has no .*\.") as refused:
            call()
        assert refused.value.status() == "404"
    shared = http.InferInput("image", [1, 1, 8, 8], "UINT8")
    shared.set_shared_memory("a", 64)
    with pytest.raises(Refused, match="shared memory, which this service does not have"):
        triton.infer("turning", [shared])
    output = wanted("logits")
    output.set_shared_memory("a", 16)
    with pytest.raises(Refused, match="shared memory, which this service does not have"):
        triton.infer("turning", [image_input(images[:1])], outputs=[output])


REFUSALS = [
    ({"model_name": "none"}, "404", "There is no model 'none'"),
    ({"model_version": "3"}, "404", "no version 3; the versions are 2, 10"),
    ({"model_version": "x"}, "404", "'x' is no version"),
    ({"outputs": [wanted("other")]}, "422", "'other'"),
    ({"sequence_id": 4}, "422", "'sequence_id'"),
    ({"timeout": 1}, "504", "not answered within its time"),
]


@pytest.mark.parametrize(("options", "status", "says"), REFUSALS)
def test_refusals_reach_the_client(
    triton: Any, images: Any, options: Any, status: str, says: str
) -> None:
    with pytest.raises(Refused) as refused:
        triton.infer(**{"model_name": "turning", "inputs": [image_input(images[:1])], **options})
    assert refused.value.status() == status
    assert says in refused.value.message()
    assert triton.infer("turning", [image_input(images[:1])])


def test_parameters_that_change_no_answer_are_accepted(
    triton: Any, images: Any, bare: Bare
) -> None:
    answer = triton.infer(
        "turning",
        [image_input(images[:1])],
        priority=3,
        timeout=60_000_000,
        parameters={"of": "mine", "number": 1},
    )
    assert_bit_for_bit(answer, bare(images[:1], 10))


def test_large_bodies_are_refused_packed_or_not(triton: Any, images: Any) -> None:
    many = np.zeros((2**15, 1, 8, 8), np.uint8)
    for coding in (None, "gzip", "deflate"):
        with pytest.raises(Refused, match="at most 1048576 bytes") as refused:
            triton.infer("turning", [image_input(many)], request_compression_algorithm=coding)
        assert refused.value.status() == "413"


@pytest.fixture(scope="module")
def post(server: Any) -> Iterator[Callable[..., httpx.Response]]:
    """Send bytes as they are; `_` in a header's name stands for `-`."""
    with httpx.Client(base_url=server.url) as client:

        def send(content: bytes, **headers: Any) -> httpx.Response:
            named = {name.replace("_", "-"): str(value) for name, value in headers.items()}
            return client.post("/v2/models/turning/infer", content=content, headers=named)

        yield send


def test_a_raw_request_is_answered_in_binary(post: Any, images: Any, bare: Bare) -> None:
    response = post(images[:2].tobytes(), Inference_Header_Content_Length=0)
    length = int(response.headers["inference-header-content-length"])
    assert response.headers["content-type"] == "application/octet-stream"
    header = json.loads(response.content[:length])
    assert [each["shape"] for each in header["outputs"]] == [[2, 4], [2, 4]]
    due = bare(images[:2], 10)
    assert response.content[length:] == due.logits.tobytes() + due.probabilities.tobytes()


def test_an_answer_is_packed_where_it_gains_and_is_asked_for(post: Any, images: Any) -> None:
    def coding(count: int, accepted: str) -> str | None:
        content = images[:count].tobytes()
        answer = post(content, Inference_Header_Content_Length=0, Accept_Encoding=accepted)
        assert answer.status_code == 200
        return answer.headers.get("content-encoding")

    assert coding(100, "gzip") == "gzip"
    assert coding(100, "deflate") == "deflate"
    assert coding(100, "identity") is None
    assert coding(100, "br") is None
    assert coding(1, "gzip") is None


def test_plain_json_without_a_content_type_is_read(post: Any, images: Any, bare: Bare) -> None:
    sent = {"name": "image", "shape": [1, 1, 8, 8], "datatype": "UINT8"}
    body = json.dumps({"inputs": [{**sent, "data": images[:1].ravel().tolist()}]}).encode()
    response = post(body)
    assert response.headers["content-type"] == "application/json"
    outputs = {each["name"]: each["data"] for each in response.json()["outputs"]}
    due = bare(images[:1], 10)
    assert np.array_equal(np.array(outputs["logits"], np.float32), due.logits[0])
    packed = post(gzip.compress(body), Content_Encoding="gzip")
    assert packed.content == response.content


numbers = st.integers(-5, 200).map(str) | st.sampled_from(["", "x", "64", "0", "9" * 400])
codings = st.sampled_from(["", "gzip", "deflate", "br", "identity"])


@settings(deadline=None)
@given(st.binary(max_size=150), st.none() | numbers, st.none() | codings)
def test_no_bytes_make_the_server_fail(
    post: Any, body: bytes, length: str | None, coding: str | None
) -> None:
    headers = {"Inference_Header_Content_Length": length, "Content_Encoding": coding}
    response = post(body, **{k: v for k, v in headers.items() if v is not None})
    raw = length == "0" and coding in (None, "", "identity") and body and len(body) % 64 == 0
    if response.status_code != 200:
        assert 400 <= response.status_code < 500, response.text
        assert response.json().keys() == {"error"}
    assert (response.status_code == 200) == bool(raw)


BODIES = {
    "index": [b"", b"{}", b'{"ready": true}'],
    "models/plain/load": [b"", b"{}", b'{"parameters": {}}'],
}


@pytest.mark.parametrize("call", BODIES)
def test_bodies_of_the_repositorys_calls(server: Any, call: str) -> None:
    url = f"{server.url}/v2/repository/{call}"
    for body in BODIES[call]:
        assert httpx.post(url, content=body).status_code == 200
    for body, status in ((b"{", 400), (b"[]", 422), (b'{"x": 1}', 422), (b"\xff", 400)):
        answer = httpx.post(url, content=body)
        assert answer.status_code == status
        assert answer.json().keys() == {"error"}


@pytest.mark.slow
def test_the_example_of_the_guide_runs(listen: Any, capsys: pytest.CaptureFixture[str]) -> None:
    project = Path(__file__).parents[2]
    guide = (project / "docs" / "oip.md").read_text()
    example = guide.split("```python\n")[1].split("```")[0]
    options = {"default_model": "rotmnist-c4", "model_control": True, "proof": "off"}
    with listen(project / "model_repository", **options) as server:
        exec(example.replace("localhost:8000", server.address), {})
    printed = capsys.readouterr().out
    assert re.search(r"b'-?\d+\.\d+:\d:\d'", printed)
    assert "'name': 'rotmnist-c8', 'version': '1', 'state': 'READY'" in printed


def test_the_kserve_client_gets_the_bare_sessions_answer(
    server: Any, images: Any, bare: Bare, tmp_path: Path
) -> None:
    python = os.environ.get("KSERVE_PYTHON")
    if python is None:
        pytest.skip("KSERVE_PYTHON names no Python that has the package kserve")
    np.save(tmp_path / "images.npy", images[:3])
    script = Path(__file__).parent / "kserve_client.py"
    address = f"127.0.0.1:{server.app.state.grpc.port}"
    done = subprocess.run(
        [python, script, server.url, address, "turning", tmp_path / "images.npy"],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found["live"] is found["ready"] is found["model_ready"] is True
    assert found["unknown_ready"] is False
    assert "There is no model 'none'" in found["unknown"]
    due, grpc = bare(images[:3], 10), found["grpc"]
    assert grpc["live"] is grpc["ready"] is grpc["model_ready"] is True
    assert "There is no model 'none'" in grpc["unknown"]
    for way in ("binary", "json", "mixed", "grpc"):
        answer = found[way]
        assert answer["model_name"] == "turning"
        assert answer["id"] == ("binary" if way == "grpc" else way)
        for name, values in due._asdict().items():
            assert np.array_equal(np.array(answer[name], np.float32), values), (way, name)
