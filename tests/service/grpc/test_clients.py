"""Clients that others wrote, over real sockets: the same answers and refusals as by HTTP."""

import asyncio
import queue
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any

import grpc
import numpy as np
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from service.engine import Inference, select
from service.repository.version import load_version

pytestmark = pytest.mark.anyio

triton_grpc = pytest.importorskip("tritonclient.grpc")
triton_aio = pytest.importorskip("tritonclient.grpc.aio")
triton_http = pytest.importorskip("tritonclient.http")
Refused = pytest.importorskip("tritonclient.utils").InferenceServerException

MIB = 2**20


@pytest.fixture(scope="module")
def server(listen: Any, repository: Any) -> Iterator[Any]:
    options = {"max_batch_size": 100, "max_body_bytes": MIB, "model_control": True, "grpc_port": 0}
    with listen(repository, **options) as server:
        yield server


@pytest.fixture(scope="module")
def address(server: Any) -> str:
    return f"127.0.0.1:{server.app.state.grpc.port}"


@pytest.fixture(scope="module")
def client(address: str) -> Iterator[Any]:
    with triton_grpc.InferenceServerClient(address) as client:
        yield client


@pytest.fixture
async def client_aio(address: str) -> AsyncIterator[Any]:
    async with triton_aio.InferenceServerClient(address) as client:
        yield client


@pytest.fixture(scope="module")
def by_http(server: Any) -> Iterator[Any]:
    with triton_http.InferenceServerClient(server.address) as client:
        yield client


@pytest.fixture(scope="module")
def bare(repository: Any) -> Iterator[Callable[[Any], Inference]]:
    opened = load_version(repository / "turning" / "10", select("cpu"), 1)
    yield opened.session.run
    opened.session.close()


def image_input(images: Any) -> Any:
    return triton_grpc.InferInput("image", list(images.shape), "UINT8").set_data_from_numpy(images)


def test_answers_are_those_of_the_session_and_of_http_bit_for_bit(
    client: Any, by_http: Any, images: Any, bare: Any
) -> None:
    for count in (1, 3, 100):
        found = client.infer("turning", [image_input(images[:count])], request_id="7")
        sent = triton_http.InferInput("image", [count, 1, 8, 8], "UINT8")
        other = by_http.infer("turning", [sent.set_data_from_numpy(images[:count])])
        for name, due in bare(images[:count])._asdict().items():
            values = found.as_numpy(name)
            assert values.dtype == np.float32
            assert values.tobytes() == due.tobytes() == other.as_numpy(name).tobytes()
    assert found.get_response().id == "7"
    assert found.get_response().model_version == "10"


async def test_the_asyncio_client_gets_each_its_own_answer(client_aio: Any, images: Any) -> None:
    answers = await asyncio.gather(
        *(client_aio.infer("turning", [image_input(images[k : k + 1])]) for k in range(20))
    )
    alone = [await client_aio.infer("turning", [image_input(images[k : k + 1])]) for k in range(20)]
    for found, due in zip(answers, alone, strict=True):
        np.testing.assert_allclose(found.as_numpy("logits"), due.as_numpy("logits"), rtol=1e-5)
    packed = await client_aio.infer(
        "turning", [image_input(images[:50])], compression_algorithm="gzip"
    )
    assert packed.as_numpy("logits").shape == (50, 4)


def test_outputs_come_in_the_order_asked_for_and_ranked(
    client: Any, by_http: Any, images: Any
) -> None:
    def asked(of: Any) -> list[Any]:
        return [of("probabilities", class_count=3), of("logits")]

    found = client.infer(
        "turning", [image_input(images[:5])], outputs=asked(triton_grpc.InferRequestedOutput)
    )
    sent = triton_http.InferInput("image", [5, 1, 8, 8], "UINT8").set_data_from_numpy(images[:5])
    due = by_http.infer("turning", [sent], outputs=asked(triton_http.InferRequestedOutput))
    assert [each.name for each in found.get_response().outputs] == ["probabilities", "logits"]
    ranked = found.as_numpy("probabilities")
    assert ranked.shape == (5, 3)
    assert ranked.tolist() == due.as_numpy("probabilities").tolist()


def test_what_is_told_is_what_http_tells(client: Any, by_http: Any) -> None:
    assert client.is_server_live()
    assert client.is_server_ready()
    assert client.is_model_ready("turning")
    assert client.is_model_ready("turning", "2")
    for call in (
        lambda asked: asked.get_server_metadata(),
        lambda asked: asked.get_model_metadata("turning"),
        lambda asked: asked.get_model_metadata("turning", "2"),
    ):
        told = call(by_http)
        found = client_json(call, client)
        assert found == told
    config = client.get_model_config("turning", as_json=True)["config"]
    due = by_http.get_model_config("turning")
    assert config["instance_group"] == due["instance_group"]
    assert config["max_batch_size"] == due["max_batch_size"] == 100
    assert [each["name"] for each in config["output"]] == ["logits", "probabilities"]
    index = client.get_model_repository_index(as_json=True)["models"]
    assert [without_empty(each) for each in by_http.get_model_repository_index()] == index


def without_empty(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if value}


def client_json(call: Callable[[Any], Any], client: Any) -> Any:
    """Take a message as JSON; its 64-bit integers are strings there."""

    class AsJson:
        def __getattr__(self, name: str) -> Any:
            return lambda *given: getattr(client, name)(*given, as_json=True)

    found = call(AsJson())
    for tensor in (*found.get("inputs", ()), *found.get("outputs", ())):
        tensor["shape"] = [int(side) for side in tensor["shape"]]
    return found


def test_statistics_count_calls_of_both(client: Any, by_http: Any, images: Any) -> None:
    def counted() -> int:
        stats = client.get_inference_statistics("plain", as_json=True)["model_stats"]
        return int(stats[0].get("inference_count", 0))

    before = counted()
    client.infer("plain", [image_input(images[:3])])
    sent = triton_http.InferInput("image", [2, 1, 8, 8], "UINT8").set_data_from_numpy(images[:2])
    by_http.infer("plain", [sent])
    assert counted() == before + 5
    everything = client.get_inference_statistics(as_json=True)["model_stats"]
    assert len(everything) == 3


REFUSALS = [
    ({"model_name": "none"}, "NOT_FOUND", "There is no model 'none'"),
    ({"model_version": "3"}, "NOT_FOUND", "no version 3; the versions are 2, 10"),
    ({"model_version": "x"}, "NOT_FOUND", "'x' is no version"),
    (
        {"outputs": [triton_grpc.InferRequestedOutput("other")]},
        "INVALID_ARGUMENT",
        "'other'",
    ),
    ({"sequence_id": 4}, "INVALID_ARGUMENT", "'sequence_id'"),
    ({"timeout": 1}, "DEADLINE_EXCEEDED", "not answered within its time"),
    ({"client_timeout": -1.0}, "DEADLINE_EXCEEDED", ""),  # said by either side
]


@pytest.mark.parametrize(("options", "code", "says"), REFUSALS)
def test_refusals_have_their_code_and_the_sentence(
    client: Any, images: Any, options: Any, code: str, says: str
) -> None:
    with pytest.raises(Refused) as refused:
        client.infer(**{"model_name": "turning", "inputs": [image_input(images[:1])], **options})
    assert refused.value.status() == f"StatusCode.{code}"
    assert says in refused.value.message()
    assert client.infer("turning", [image_input(images[:1])])


@pytest.mark.slow
def test_a_batch_and_a_message_that_are_too_large_are_refused(client: Any, images: Any) -> None:
    with pytest.raises(Refused, match="at most 100 are accepted") as refused:
        client.infer("turning", [image_input(images[:101])])
    assert refused.value.status() == "StatusCode.INVALID_ARGUMENT"
    many = np.zeros((2**15, 1, 8, 8), np.uint8)
    for packed in (None, "gzip"):
        with pytest.raises(Refused) as refused:
            client.infer("turning", [image_input(many)], compression_algorithm=packed)
        assert refused.value.status() == "StatusCode.RESOURCE_EXHAUSTED"
    assert client.infer("turning", [image_input(images[:1])])


def test_streams_shared_memory_and_settings_say_that_they_are_not_here(
    client: Any, images: Any
) -> None:
    for call in (
        client.get_trace_settings,
        client.get_log_settings,
        client.get_system_shared_memory_status,
        lambda: client.register_system_shared_memory("a", "/a", 64),
        client.unregister_cuda_shared_memory,
    ):
        with pytest.raises(Refused, match=r"This service has no .*\.") as refused:
            call()
        assert refused.value.status() == "StatusCode.UNIMPLEMENTED"
    told: queue.Queue[Any] = queue.Queue()
    client.start_stream(lambda result, error: told.put(error))
    with suppress(Refused):  # of a stream that has ended by now
        client.async_stream_infer("turning", [image_input(images[:1])])
    assert "no streams" in str(told.get(timeout=60))
    client.stop_stream(cancel_requests=True)


def test_models_are_unloaded_and_loaded(client: Any, by_http: Any) -> None:
    client.unload_model("plain")
    assert not by_http.is_model_ready("plain")
    assert not client.is_model_ready("plain")
    client.load_model("plain")
    assert client.is_model_ready("plain")
    with pytest.raises(Refused, match="There is no model 'none'"):
        client.load_model("none")
    with pytest.raises(Refused, match="'config' is refused"):
        client.load_model("plain", config="{}")


def test_the_health_service_and_reflection_answer(address: str) -> None:
    with grpc.insecure_channel(address) as channel:
        health = health_pb2_grpc.HealthStub(channel)
        for name in ("", "inference.GRPCInferenceService"):
            asked = health_pb2.HealthCheckRequest(service=name)
            assert health.Check(asked).status == health_pb2.HealthCheckResponse.SERVING
            watched = health.Watch(asked)
            assert next(watched).status == health_pb2.HealthCheckResponse.SERVING
            watched.cancel()
        with pytest.raises(grpc.RpcError, match="There is no service 'x'"):
            health.Check(health_pb2.HealthCheckRequest(service="x"))
        with pytest.raises(grpc.RpcError, match=r"There is no service 'é.* is accepted"):
            health.Check(health_pb2.HealthCheckRequest(service=10_000 * "é"))
        reflection = reflection_pb2_grpc.ServerReflectionStub(channel)
        asked = [
            reflection_pb2.ServerReflectionRequest(list_services=""),
            reflection_pb2.ServerReflectionRequest(
                file_containing_symbol="inference.GRPCInferenceService"
            ),
            reflection_pb2.ServerReflectionRequest(file_containing_symbol="grpc.health.v1.Health"),
        ]
        listed, *files = reflection.ServerReflectionInfo(iter(asked))
        names = {each.name for each in listed.list_services_response.service}
        assert {"inference.GRPCInferenceService", "grpc.health.v1.Health"} <= names
        for file in files:
            assert file.file_descriptor_response.file_descriptor_proto
