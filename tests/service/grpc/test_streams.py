"""Streams without an end of their own: of those who watch the service, and of reflection."""

import asyncio
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2

from service.grpc import receiving
from tests.waiting import LIMIT

pytestmark = pytest.mark.anyio

REFLECTION = "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"


async def test_who_watches_or_reflects_does_not_hold_up_the_end(
    make_app: Any, repository: Path
) -> None:
    app = make_app(
        repository, device="cpu", default_model="turning", grpc_port=0, receive_seconds=600
    )
    async with app.router.lifespan_context(app):
        plane = app.state.data_plane
        await plane.repository.started.wait()
        async with grpc.aio.insecure_channel(f"127.0.0.1:{app.state.grpc.port}") as channel:
            watch = health_pb2_grpc.HealthStub(channel).Watch(health_pb2.HealthCheckRequest())
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            reflecting = channel.stream_stream(REFLECTION)()
            asked = reflection_pb2.ServerReflectionRequest(list_services="")
            await reflecting.write(asked.SerializeToString())
            await reflecting.read()
            plane.ending = True
            app.state.grpc.end_within(LIMIT)  # at whose end gRPC would cancel what is left
            await app.state.grpc.stop()
            assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            assert await watch.read() is grpc.aio.EOF
            assert await reflecting.code() == grpc.StatusCode.UNAVAILABLE
            assert "waits for no further message" in await reflecting.details()


async def test_a_stream_that_was_just_answered_does_not_hold_up_the_end(
    make_app: Any, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The end comes when its answer is written, and its next message is not yet waited for."""
    ended, read, first = asyncio.Event(), receiving.Receiver.read, True

    async def late(self: Any, *given: Any, **named: Any) -> Any:
        nonlocal first
        if not first:
            await ended.wait()
        first = False
        return await read(self, *given, **named)

    monkeypatch.setattr(receiving.Receiver, "read", late)
    app = make_app(repository, device="cpu", default_model="turning", grpc_port=0)
    async with app.router.lifespan_context(app):
        address = f"127.0.0.1:{app.state.grpc.port}"
        async with grpc.aio.insecure_channel(address) as channel:
            reflecting = channel.stream_stream(REFLECTION)()
            asked = reflection_pb2.ServerReflectionRequest(list_services="")
            await reflecting.write(asked.SerializeToString())
            await reflecting.read()
            app.state.grpc.end_within(LIMIT)
            ended.set()
            assert "waits for no further message" in await reflecting.details()


async def test_all_who_watch_are_told_by_one_look(make_app: Any, repository: Path) -> None:
    app = make_app(repository, device="cpu", default_model="turning", grpc_port=0)
    async with app.router.lifespan_context(app):
        plane, looks = app.state.data_plane, 0
        await plane.repository.started.wait()
        check = plane.check_ready

        def counted() -> None:
            nonlocal looks
            looks += 1
            check()

        plane.check_ready = counted
        async with grpc.aio.insecure_channel(f"127.0.0.1:{app.state.grpc.port}") as channel:
            stub = health_pb2_grpc.HealthStub(channel)
            watches = [stub.Watch(health_pb2.HealthCheckRequest()) for _ in range(50)]
            unknown = stub.Watch(health_pb2.HealthCheckRequest(service="another"))
            for watch in watches:
                assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            assert (await unknown.read()).status == health_pb2.HealthCheckResponse.SERVICE_UNKNOWN
            looks = 0
            plane.ending = True
            for watch in watches:
                assert (await watch.read()).status == health_pb2.HealthCheckResponse.NOT_SERVING
            plane.ending = False
            for watch in watches:
                assert (await watch.read()).status == health_pb2.HealthCheckResponse.SERVING
            assert looks < len(watches)
            for watch in (*watches, unknown):
                watch.cancel()


async def test_no_more_watch_than_may(
    make_app: Any, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.grpc.health._MOST", 2)
    app = make_app(repository, device="cpu", default_model="turning", grpc_port=0)
    async with app.router.lifespan_context(app):
        address = f"127.0.0.1:{app.state.grpc.port}"
        async with grpc.aio.insecure_channel(address) as channel:
            stub, asked = health_pb2_grpc.HealthStub(channel), health_pb2.HealthCheckRequest()
            watches = [stub.Watch(asked) for _ in range(2)]
            for watch in watches:
                await watch.read()
            third = stub.Watch(asked)
            assert await third.code() == grpc.StatusCode.UNAVAILABLE
            assert await third.details() == "2 watch already, and no more may; Check is answered."
            await stub.Check(asked)
            watches.pop().cancel()
            async with asyncio.timeout(LIMIT):
                while len(watches) < 2:
                    again = stub.Watch(asked)
                    with suppress(grpc.RpcError):  # until it is known that the other is gone
                        await again.read()
                        watches.append(again)
            for watch in watches:
                watch.cancel()
