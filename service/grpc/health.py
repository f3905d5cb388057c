"""The standard health service of gRPC, as Kubernetes' probes ask it."""

import asyncio
from collections.abc import AsyncIterator
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
"""Seconds between two looks, each for all who watch: any number of them may, without a key."""

_MOST: Final = 4096
"""Streams of those who watch, of some 25 KiB each."""

_Status: Final = health_pb2.HealthCheckResponse


class Health:
    """Says SERVING while requests should be sent here, of the server and of its one service."""

    def __init__(self, plane: DataPlane, receiver: Receiver) -> None:
        self._plane, self._receiver = plane, receiver
        self._ending = False
        self._seen = self._now()
        self._changed = asyncio.Event()
        self._watching = 0
        self._timer: asyncio.TimerHandle | None = None

    def end(self) -> None:
        """Let those who watch go, told that nothing should be sent here any more."""
        self._ending, self._seen = True, self._now()
        self._tell()

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
        is_known = request.service in ("", SERVICE)
        del request  # which may be long, and the stream lasts
        if self._watching >= _MOST:
            await context.abort(
                grpc.StatusCode.UNAVAILABLE,
                f"{_MOST} watch already, and no more may; Check is answered.",
            )
        told = None
        self._watching += 1
        try:
            self._look()
            while True:
                # Taken together: what changes while the answer is written is not missed.
                ending, changed, now = self._ending, self._changed, self._seen
                if not is_known:
                    now = _Status.SERVICE_UNKNOWN
                if now != told:
                    yield _Status(status=now)
                    told = now
                if ending:
                    return
                await changed.wait()
        finally:
            self._watching -= 1

    def _look(self) -> None:
        """Tell those who watch if it has changed, and look again as long as somebody does."""
        now = self._now()
        if now != self._seen:
            self._seen = now
            self._tell()
        if self._timer is None and self._watching and not self._ending:
            self._timer = asyncio.get_running_loop().call_later(_LOOK_EVERY, self._look_again)

    def _look_again(self) -> None:
        self._timer = None
        self._look()

    def _tell(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    def _now(self) -> Any:
        try:
            self._plane.check_ready()
        except UnavailableError:
            return _Status.NOT_SERVING
        return _Status.SERVING
