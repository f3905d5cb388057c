"""The standard health service of gRPC, as Kubernetes' probes ask it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any, Final

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc

from service.data_plane import DataPlane
from service.errors import UnavailableError
from service.grpc.messages import SERVICE

NAME: Final = "grpc.health.v1.Health"

_LOOK_EVERY: Final = 0.5
"""Seconds between two looks for those who watch."""

_Status: Final = health_pb2.HealthCheckResponse


class Health(health_pb2_grpc.HealthServicer):  # type: ignore[misc]
    """Says SERVING while requests should be sent here, of the server and of its one service."""

    def __init__(self, plane: DataPlane) -> None:
        self._plane = plane

    async def Check(self, request: Any, context: Any) -> Any:  # noqa: N802 - gRPC's name
        """Answer how it is now."""
        if request.service not in ("", SERVICE):
            await context.abort(
                grpc.StatusCode.NOT_FOUND,
                f"There is no service '{request.service}'; '{SERVICE}', or none for the whole "
                "server, is accepted.",
            )
        return _Status(status=self._now())

    async def Watch(self, request: Any, context: Any) -> AsyncIterator[Any]:  # noqa: N802
        """Answer how it is now, and again whenever that changes."""
        told = None
        while True:
            now = self._now() if request.service in ("", SERVICE) else _Status.SERVICE_UNKNOWN
            if now != told:
                yield _Status(status=now)
                told = now
            await asyncio.sleep(_LOOK_EVERY)

    def _now(self) -> Any:
        try:
            self._plane.check_ready()
        except UnavailableError:
            return _Status.NOT_SERVING
        return _Status.SERVING
