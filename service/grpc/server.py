"""The gRPC server: beside HTTP's in the same process, on a port of its own."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
from fastapi import FastAPI
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2
from grpc_reflection.v1alpha import reflection, reflection_pb2

from service.grpc.calls import Calls, receiver_of
from service.grpc.health import NAME, Health
from service.grpc.messages import POOL, SERVICE
from service.grpc.methods import methods
from service.grpc.receiving import Receiver
from service.listening import check_grpc_free, refuse_grpc
from service.settings import Settings

_OPEN_SHARE: Final = 4
"""One part of so many, of what messages on their way may hold, is for methods that need no key."""

_LARGEST: Final = 2**31 - 1
"""Largest number that one of gRPC's options can be, and a message has bytes."""


class GrpcServer:
    """Takes a port when it is built, calls from `start` on, and none any more from `stop` on.

    It is built, started and stopped on the event loop.

    Raises
    ------
    ConfigurationError
        If the port cannot be taken.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._stopping: asyncio.Future[None] | None = None
        self._open_to_all = receiver_of(settings, _OPEN_SHARE)
        self._health: Health | None = None
        self._server = grpc.aio.server(
            options=[
                ("grpc.max_receive_message_length", min(settings.max_body_bytes, _LARGEST)),
                ("grpc.max_send_message_length", -1),
                ("grpc.max_concurrent_streams", min(settings.max_queue_size, _LARGEST)),
                (
                    "grpc.max_connection_idle_ms",
                    min(1000 * settings.keep_alive_seconds, _LARGEST),
                ),
                # A client that is gone without a word is found out by whether it answers.
                ("grpc.keepalive_time_ms", min(1000 * settings.keep_alive_seconds, _LARGEST)),
                (
                    "grpc.server_handshake_timeout_ms",
                    min(int(1000 * settings.receive_seconds), _LARGEST),
                ),
                # Only workers share a port: two services would do so unasked.
                ("grpc.so_reuseport", int(settings.workers > 1)),
            ]
        )
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        if settings.workers == 1:
            check_grpc_free(settings)
        try:
            self.port: Final[int] = self._server.add_insecure_port(f"{host}:{settings.grpc_port}")
        except RuntimeError:
            refuse_grpc(settings)

    async def start(self, app: FastAPI) -> None:
        """Begin to answer, with the data plane that the application has opened."""
        plane, state = app.state.data_plane, app.state
        receiver = self._open_to_all
        watching = state.keys, state.metrics, state.traces
        calls = Calls(plane, self._settings, state.pending, receiver, *watching)
        self._health = Health(plane, receiver)
        for name, handlers in (
            (SERVICE, methods(calls, self._settings)),
            (NAME, self._health.handlers),
            (reflection.SERVICE_NAME, _reflection(receiver)),
        ):
            handler = grpc.method_handlers_generic_handler(name, handlers)
            self._server.add_generic_rpc_handlers((handler,))
        await self._server.start()

    def end_within(self, seconds: float) -> None:
        """Take no more calls, and give those under way so long to be answered.

        Streams without an end of their own end now: nobody would wait for them.
        """
        self._open_to_all.end()
        if self._health is not None:
            self._health.end()
        self._stopping = asyncio.ensure_future(self._server.stop(seconds))

    async def stop(self) -> None:
        """Return when all calls have ended: at once, or as soon as `end_within` gave them."""
        await (self._stopping or self._server.stop(0))


def _reflection(receiver: Receiver) -> dict[str, grpc.RpcMethodHandler]:
    """Build the service that says which messages the others take."""
    service = reflection.aio.ReflectionServicer(_reflected(), pool=POOL)

    async def tell(messages: Any, context: Any) -> AsyncIterator[Any]:
        asked = receiver.receive_all(context, reflection_pb2.ServerReflectionRequest)
        async for each in service.ServerReflectionInfo(asked, context):
            yield each

    return {
        "ServerReflectionInfo": grpc.stream_stream_rpc_method_handler(
            tell, response_serializer=reflection_pb2.ServerReflectionResponse.SerializeToString
        )
    }


def _reflected() -> tuple[Any, ...]:
    """Name the services that reflection describes, with the health service's messages at hand."""
    for each in (health_pb2, reflection_pb2):
        described = FileDescriptorProto()
        each.DESCRIPTOR.CopyToProto(described)
        POOL.Add(described)  # the same again, where a second server is started, changes nothing
    return SERVICE, NAME, reflection.SERVICE_NAME
