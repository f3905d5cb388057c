"""The standard health service of gRPC, as Kubernetes' probes ask it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2

from service.data_plane import DataPlane
from service.errors import UnavailableError
from service.grpc.calls import fitting
from service.grpc.messages import SERVICE
from service.grpc.receiving import Receiver

NAME: Final = "grpc.health.v1.Health"

_LOOK_EVERY: Final = 0.5
"""Seconds between two looks for those who watch."""

_Status: Final = health_pb2.HealthCheckResponse


class Health:
    """Says SERVING while requests should be sent here, of the server and of its one service."""

    def __init__(self, plane: DataPlane, receiver: Receiver) -> None:
        self._plane, self._receiver = plane, receiver
        self._ending = asyncio.Event()

    def end(self) -> None:
        """Let those who watch go, told that nothing should be sent here any more."""
        self._ending.set()

    @property
    def handlers(self) -> dict[str, grpc.RpcMethodHandler]:
        """The handlers of its methods."""
        written = _Status.SerializeToString
        return {
            "Check": grpc.stream_unary_rpc_method_handler(self._check, response_serializer=written),
            "Watch": grpc.stream_stream_rpc_method_handler(
                self._watch, response_serializer=written
            ),
        }

    async def _check(self, messages: Any, context: Any) -> Any:
        """Answer how it is now."""
        request = await self._receiver.receive(context, health_pb2.HealthCheckRequest)
        if request.service not in ("", SERVICE):
            await context.abort(
                grpc.StatusCode.NOT_FOUND,
                fitting(
                    f"There is no service '{request.service}'; '{SERVICE}', or none for the whole "
                    "server, is accepted."
                ),
            )
        return _Status(status=self._now())

    async def _watch(self, messages: Any, context: Any) -> AsyncIterator[Any]:
        """Answer how it is now, and again whenever that changes."""
        request = await self._receiver.receive(context, health_pb2.HealthCheckRequest)
        told = None
        while True:
            now = self._now() if request.service in ("", SERVICE) else _Status.SERVICE_UNKNOWN
            if now != told:
                yield _Status(status=now)
                told = now
            if self._ending.is_set():
                return
            with suppress(TimeoutError):
                await asyncio.wait_for(self._ending.wait(), _LOOK_EVERY)

    def _now(self) -> Any:
        try:
            self._plane.check_ready()
        except UnavailableError:
            return _Status.NOT_SERVING
        return _Status.SERVING
