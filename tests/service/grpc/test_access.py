"""Keys, the end of the service and what is counted hold for gRPC as they do for HTTP."""

import asyncio
import os
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from fastapi import FastAPI
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service.environment import read_settings
from service.grpc import receiving
from service.grpc.messages import message
from service.grpc.server import GrpcServer
from service.settings import ConfigurationError, Settings
from tests.waiting import until

pytestmark = pytest.mark.anyio

KEYS = "reader infer infer-key-of-16-letters\nboss infer,admin admin-key-of-16-letters\n"
INFER, ADMIN = ("infer-key-of-16-letters", "admin-key-of-16-letters")

NEEDS = {
    "ServerLive": None,
    "ServerReady": None,
    "ServerMetadata": INFER,
    "ModelReady": INFER,
    "ModelMetadata": INFER,
    "ModelConfig": INFER,
    "ModelStatistics": INFER,
    "ModelInfer": INFER,
    "RepositoryIndex": INFER,
    "RepositoryModelLoad": ADMIN,
    "RepositoryModelUnload": ADMIN,
}


def path(method: str) -> str:
    return f"/inference.GRPCInferenceService/{method}"


def code(channel: Any, method: str, key: str | None, header: str = "authorization") -> Any:
    value = f"Bearer {key}" if header == "authorization" else key
    sent = message(f"{method}Request")()
    try:
        channel.unary_unary(path(method))(
            sent.SerializeToString(), metadata=[(header, value)] if key else []
        )
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK


@pytest.mark.slow
def test_every_method_asks_for_the_key_that_it_needs(
    listen: Any, repository: Path, tmp_path: Path
) -> None:
    file = tmp_path / "keys"
    file.write_text(KEYS)
    refusals = {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.PERMISSION_DENIED}
    with (
        listen(repository, grpc_port=0, api_keys=file) as server,
        grpc.insecure_channel(f"127.0.0.1:{server.app.state.grpc.port}") as channel,
    ):
        service = channel_methods()
        assert service == set(NEEDS)
        for method, needed in NEEDS.items():
            first = code(channel, method, None)
            assert (first == grpc.StatusCode.UNAUTHENTICATED) == (needed is not None), method
            assert (code(channel, method, "wrong-key-of-16-letters") in refusals) == bool(needed)
            for header in ("authorization", "x-api-key"):
                assert code(channel, method, ADMIN, header) not in refusals
            denied = code(channel, method, INFER) == grpc.StatusCode.PERMISSION_DENIED
            assert denied == (needed == ADMIN), method


def one_image(images: Any) -> bytes:
    sent: bytes = message("ModelInferRequest")(
        model_name="turning",
        inputs=[{"name": "image", "datatype": "UINT8", "shape": [1, 1, 8, 8]}],
        raw_input_contents=[images[0].tobytes()],
    ).SerializeToString()
    return sent


def channel_methods() -> set[str]:
    from service.grpc.messages import POOL, SERVICE

    return {each.name for each in POOL.FindServiceByName(SERVICE).methods}


async def test_what_is_under_way_is_answered_when_the_service_ends(
    make_app: Any, repository: Path, images: Any
) -> None:
    app: FastAPI = make_app(
        repository, device="cpu", default_model="turning", grpc_port=0, threads=1
    )
    async with app.router.lifespan_context(app):
        plane = app.state.data_plane
        await plane.repository.started.wait()
        server: GrpcServer = app.state.grpc
        begun, go_on = asyncio.Event(), asyncio.Event()
        infer = plane.infer

        async def held(*given: Any) -> Any:
            begun.set()
            await go_on.wait()
            return await infer(*given)

        plane.infer = held
        async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
            call = channel.unary_unary(path("ModelInfer"))(one_image(images))
            await begun.wait()
            plane.ending = True
            health = health_pb2_grpc.HealthStub(channel)
            now = await health.Check(health_pb2.HealthCheckRequest())
            assert now.status == health_pb2.HealthCheckResponse.NOT_SERVING
            server.end_within(30)
            go_on.set()
            answer = message("ModelInferResponse").FromString(await call)
            assert answer.model_version == "10"
            await server.stop()
            with pytest.raises(grpc.RpcError) as refused:
                await channel.unary_unary(path("ServerLive"))(b"", timeout=60)
            assert refused.value.code() == grpc.StatusCode.UNAVAILABLE


async def test_a_call_that_is_cancelled_is_given_up(
    make_app: Any, repository: Path, images: Any
) -> None:
    app: FastAPI = make_app(repository, device="cpu", default_model="turning", grpc_port=0)
    async with app.router.lifespan_context(app):
        plane = app.state.data_plane
        await plane.repository.started.wait()
        begun, given_up = asyncio.Event(), asyncio.Event()

        async def held(*given: Any) -> Any:
            begun.set()
            try:
                await asyncio.Event().wait()
            finally:
                given_up.set()

        plane.infer = held
        async with grpc.aio.insecure_channel(f"127.0.0.1:{app.state.grpc.port}") as channel:
            call = channel.unary_unary(path("ModelInfer"))(one_image(images))
            await begun.wait()
            call.cancel()
            await given_up.wait()
        while not app.state.metrics.grpc_calls["ModelInfer", "CANCELLED"]:  # noqa: ASYNC110
            await asyncio.sleep(0)
        assert plane.repository.find("turning").statistics.fail.count == 1


async def test_calls_are_counted_by_method_and_code(
    make_app: Any, repository: Path, logged: Any
) -> None:
    app = make_app(repository, device="cpu", default_model="turning", grpc_port=0)
    async with app.router.lifespan_context(app):
        await app.state.data_plane.repository.started.wait()
        address = f"127.0.0.1:{app.state.grpc.port}"
        async with grpc.aio.insecure_channel(address) as channel:
            await channel.unary_unary(path("ServerLive"))(b"")
            with pytest.raises(grpc.RpcError):
                await channel.unary_unary(path("ModelInfer"))(b"\xff")
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://test") as client:
            told = (await client.get("/metrics")).text
    assert 'orbitserve_grpc_requests_total{code="OK",method="ServerLive"} 1.0' in told
    assert 'orbitserve_grpc_requests_total{code="INVALID_ARGUMENT",method="ModelInfer"} 1.0' in told
    (line,) = [each for each in logged() if each.get("method") == "gRPC"]
    assert (line["path"], line["status"], line["refusal"]) == (
        "ModelInfer",
        "INVALID_ARGUMENT",
        "invalid",
    )


async def test_a_port_that_is_taken_is_refused_before_anything_is_loaded(
    make_app: Any, repository: Path
) -> None:
    first = GrpcServer(Settings(grpc_port=0))
    try:
        app = make_app(repository, device="cpu", grpc_port=first.port)
        with pytest.raises(ConfigurationError, match="ORBITSERVE_GRPC_PORT name another"):
            async with app.router.lifespan_context(app):
                raise AssertionError
        assert not hasattr(app.state, "data_plane")
    finally:
        await first.stop()


async def test_settings_may_be_larger_than_grpcs_own_numbers() -> None:
    huge = {"max_body_bytes": 2**40, "max_queue_size": 2**40, "keep_alive_seconds": 2**40}
    await GrpcServer(Settings(grpc_port=0, **huge)).stop()


def test_an_empty_setting_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(os.environ, "ORBITSERVE_GRPC_PORT", "")
    assert read_settings().grpc_port is None
    monkeypatch.setitem(os.environ, "ORBITSERVE_GRPC_PORT", "8001")
    assert read_settings().grpc_port == 8001


HEALTH = "/grpc.health.v1.Health"
REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


async def test_a_message_that_does_not_come_is_not_waited_for(
    make_app: Any, repository: Path, logged: Any
) -> None:
    """Whoever sends half of one has the service hold it; no method does without the bound."""
    app = make_app(
        repository, device="cpu", default_model="turning", grpc_port=0, receive_seconds=0.05
    )
    async with app.router.lifespan_context(app):
        address = f"127.0.0.1:{app.state.grpc.port}"
        async with grpc.aio.insecure_channel(address) as channel:
            calls = [
                *(channel.stream_unary(path(method))(timeout=60) for method in NEEDS),
                channel.stream_unary(f"{HEALTH}/Check")(timeout=60),
                channel.stream_stream(f"{HEALTH}/Watch")(timeout=60),
                channel.stream_stream(REFLECTION)(timeout=60),
            ]
            for call in calls:
                assert await call.code() == grpc.StatusCode.DEADLINE_EXCEEDED
                assert "all of it within 0.05 s is accepted." in await call.details()
            for method in ("ModelStreamInfer", "TraceSetting"):
                assert await channel.stream_stream(path(method))(timeout=60).code() == (
                    grpc.StatusCode.UNIMPLEMENTED
                )
            unread = channel.unary_unary(f"{HEALTH}/Check")(b"\xff")
            assert await unread.code() == grpc.StatusCode.INVALID_ARGUMENT
    lines = [each for each in logged() if each.get("method") == "gRPC"]
    assert {each["refusal"] for each in lines if each["path"] == "ModelMetadata"} == {"slow"}
    assert not [each for each in logged() if "exception" in each]


@pytest.mark.parametrize("count", [0, 2])
async def test_a_call_of_no_message_or_several_is_refused(
    make_app: Any, repository: Path, images: Any, logged: Any, count: int
) -> None:
    """As https://grpc.github.io/grpc/core/md_doc_statuscodes.html asks."""
    app = make_app(repository, device="cpu", default_model="turning", grpc_port=0)
    async with app.router.lifespan_context(app):
        await app.state.data_plane.repository.started.wait()
        address = f"127.0.0.1:{app.state.grpc.port}"
        async with grpc.aio.insecure_channel(address) as channel:
            for method, sent in (
                (path("ModelInfer"), one_image(images)),
                (path("ServerLive"), b""),
                (f"{HEALTH}/Check", b""),
                (f"{HEALTH}/Watch", b""),
            ):
                call = channel.stream_stream(method)(iter([sent] * count), timeout=60)
                assert await call.code() == grpc.StatusCode.UNIMPLEMENTED
                told = "The call has no message" if not count else "The call has several messages"
                assert await call.details() == f"{told}; exactly one is accepted."
            reflecting = channel.stream_stream(REFLECTION)(iter([b""] * count), timeout=60)
            assert len([answer async for answer in reflecting]) == count
    lines = [each for each in logged() if each.get("path") == "ModelInfer"]
    assert [(each["status"], each["refusal"]) for each in lines] == [("UNIMPLEMENTED", "invalid")]
    assert app.state.data_plane.repository.find("turning").statistics.success.count == 0


async def test_who_cancels_before_the_message_has_sent_nothing_wrong(
    make_app: Any, repository: Path, logged: Any
) -> None:
    app = make_app(repository, device="cpu", default_model="turning", grpc_port=0)
    async with app.router.lifespan_context(app):
        counted = app.state.metrics.grpc_calls
        async with grpc.aio.insecure_channel(f"127.0.0.1:{app.state.grpc.port}") as channel:
            await channel.unary_unary(path("ServerLive"))(b"")  # which connects
            began, read = asyncio.Event(), receiving.Receiver.read

            async def watched(self: Any, *given: Any, **named: Any) -> Any:
                began.set()
                return await read(self, *given, **named)

            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(receiving.Receiver, "read", watched)
                call = channel.stream_unary(path("ModelInfer"))()
                await began.wait()
                call.cancel()
                await until(lambda: counted.keys() >= {("ModelInfer", "CANCELLED")})
    (line,) = [each for each in logged() if each.get("path") == "ModelInfer"]
    assert (line["status"], line["refusal"]) == ("CANCELLED", "cancelled")


async def test_a_message_counts_before_the_call_ends_behind_it(
    make_app: Any, repository: Path
) -> None:
    """A second one may be on its way meanwhile."""
    app = make_app(repository, device="cpu", default_model="turning", grpc_port=0)
    async with app.router.lifespan_context(app):
        address = f"127.0.0.1:{app.state.grpc.port}"
        async with grpc.aio.insecure_channel(address) as channel:
            call = channel.stream_unary(path("ModelInfer"))(timeout=60)
            await call.write(bytes(2**20))
            await until(lambda: app.state.pending._held == 2**20)
            call.cancel()
            await until(lambda: app.state.pending._held == 0)


async def test_who_asks_without_a_key_asks_briefly(make_app: Any, repository: Path) -> None:
    """4,096 watchers could have the service hold the largest message each."""
    app = make_app(repository, device="cpu", default_model="turning", grpc_port=0)
    async with app.router.lifespan_context(app):
        address = f"127.0.0.1:{app.state.grpc.port}"
        async with grpc.aio.insecure_channel(address) as channel:
            for method in (f"{HEALTH}/Check", f"{HEALTH}/Watch", REFLECTION):
                call = channel.stream_stream(method)(timeout=60)
                await call.write(bytes(2**16 + 1))
                assert await call.code() == grpc.StatusCode.INVALID_ARGUMENT
                assert await call.details() == (
                    "The message has 65537 bytes; at most 65536 are accepted."
                )


@pytest.mark.parametrize("text", ["x", "\N{SNOWMAN}", "\N{GRINNING FACE}", "%"])
async def test_a_refusal_of_something_long_fits_what_clients_take(
    make_app: Any, repository: Path, images: Any, text: str
) -> None:
    """gRPC sends it in the trailers, and a client drops a call whose trailers are too long."""
    app = make_app(repository, device="cpu", default_model="turning", grpc_port=0)
    async with app.router.lifespan_context(app):
        await app.state.data_plane.repository.started.wait()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{app.state.grpc.port}") as channel:
            sent = message("ModelInferRequest").FromString(one_image(images))
            sent.inputs[0].datatype = 10_000 * text
            call = channel.unary_unary(path("ModelInfer"))(sent.SerializeToString())
            assert await call.code() == grpc.StatusCode.INVALID_ARGUMENT
            told = await call.details()
            assert told.startswith(f"The input 'image' is of datatype '{text}")
            assert told.endswith("'; UINT8 is accepted.")


async def test_few_messages_are_long_on_their_way(
    make_app: Any, repository: Path, images: Any, monkeypatch: pytest.MonkeyPatch, logged: Any
) -> None:
    """Each may be of the largest, and what has come of it is known to gRPC alone."""
    monkeypatch.setattr(receiving, "SOON", 0.02)
    limits = {"max_body_bytes": 2**20, "max_pending_bytes": 2**20, "receive_seconds": 600}
    app = make_app(repository, device="cpu", default_model="turning", grpc_port=0, **limits)
    async with app.router.lifespan_context(app):
        await app.state.data_plane.repository.started.wait()
        address = f"127.0.0.1:{app.state.grpc.port}"
        async with grpc.aio.insecure_channel(address) as channel:
            for method in (path("ModelInfer"), f"{HEALTH}/Check", REFLECTION):
                calls = [channel.stream_stream(method)(timeout=60) for _ in range(3)]
                codes = [asyncio.create_task(call.code()) for call in calls]
                await until(lambda codes=codes: sum(each.done() for each in codes) == 2)
                for call, code in zip(calls, codes, strict=True):
                    if code.done():
                        assert await code == grpc.StatusCode.UNAVAILABLE
                        assert "at most 1 that take longer" in await call.details()
                        assert ("retry-after", "1") in tuple(await call.trailing_metadata())
                await channel.unary_unary(path("ModelInfer"))(one_image(images), timeout=60)
                for call in calls:
                    call.cancel()
                await asyncio.wait(codes)
    lines = [each for each in logged() if each.get("path") == "ModelInfer"]
    assert [each["refusal"] for each in lines if each["status"] == "UNAVAILABLE"] == ["full"] * 2


async def test_messages_and_bodies_hold_no_more_than_they_may_together(
    make_app: Any, repository: Path, images: Any
) -> None:
    limits = {"max_body_bytes": 2**20, "max_pending_bytes": 2**20}
    app = make_app(repository, device="cpu", default_model="turning", grpc_port=0, **limits)
    transport = httpx.ASGITransport(app)
    async with app.router.lifespan_context(app):
        plane = app.state.data_plane
        await plane.repository.started.wait()
        begun, go_on, infer = asyncio.Event(), asyncio.Event(), plane.infer

        async def held(*given: Any) -> Any:
            begun.set()
            await go_on.wait()
            return await infer(*given)

        plane.infer = held
        large = message("ModelInferRequest").FromString(one_image(images))
        large.id = "x" * 2**19
        sent = large.SerializeToString()
        address = f"127.0.0.1:{app.state.grpc.port}"
        async with (
            grpc.aio.insecure_channel(address) as channel,
            httpx.AsyncClient(transport=transport, base_url="http://here") as client,
        ):
            ask = channel.unary_unary(path("ModelInfer"))
            first = asyncio.ensure_future(ask(sent, timeout=60))
            await begun.wait()
            plane.infer = infer
            with pytest.raises(grpc.RpcError) as refused:
                await ask(sent, timeout=60)
            assert refused.value.code() == grpc.StatusCode.UNAVAILABLE
            assert "hold too much" in refused.value.details()
            answer = await client.post("/classify", content=bytes(2**19 + 1))
            assert answer.status_code == 503
            await ask(one_image(images), timeout=60)
            go_on.set()
            await first
            await ask(sent, timeout=60)


async def test_a_message_without_a_key_is_not_received(
    make_app: Any, repository: Path, tmp_path: Path
) -> None:
    file = tmp_path / "keys"
    file.write_text(KEYS)
    app = make_app(repository, device="cpu", grpc_port=0, api_keys=file)
    async with app.router.lifespan_context(app):
        address = f"127.0.0.1:{app.state.grpc.port}"
        async with grpc.aio.insecure_channel(address) as channel:
            call = channel.stream_unary(path("ModelInfer"))(timeout=60)  # which sends nothing
            assert await call.code() == grpc.StatusCode.UNAUTHENTICATED
