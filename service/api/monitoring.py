"""What watches the service: probes of an orchestrator, and Prometheus."""

from typing import Final, Literal

from anyio import to_thread
from fastapi import Request, Response
from pydantic import BaseModel

from service.api.addresses import Plane
from service.api.bodies import errors_documented
from service.auth import is_known
from service.data_plane import DataPlane
from service.errors import UnavailableError
from service.http.context import RequestContext
from service.http.service_route import ServiceRoute
from service.metrics.prometheus import Metrics
from service.workers.member import WAIT_SECONDS
from service.workers.messages import Count


class Health(BaseModel):
    """The answer of a probe that succeeds."""

    status: Literal["ok", "ready"]


def health_routes() -> list[ServiceRoute]:
    """Build the routes of the probes."""
    return [
        ServiceRoute("/healthz", healthz, needs="nothing", tags=["probes"], summary="Liveness"),
        ServiceRoute(
            "/readyz",
            readyz,
            needs="nothing",
            tags=["probes"],
            summary="Readiness",
            responses=errors_documented(503),
        ),
    ]


async def healthz() -> Health:
    """Answer as long as the event loop runs."""
    return Health(status="ok")


async def readyz(request: Request, plane: Plane) -> Health:
    """Answer 200 while requests should be sent here, and 503 while not.

    Where calls need a key, the reason is told to whoever has one.
    """
    check_ready(
        plane, known=is_known(request.app.state.keys, RequestContext.of(request.scope).headers)
    )
    return Health(status="ready")


def check_ready(plane: DataPlane, *, known: bool) -> None:
    """Raise UnavailableError while no requests should be sent here.

    The reason is told to those who are known.
    """
    try:
        plane.check_ready()
    except UnavailableError:
        if known:
            raise
        raise UnavailableError(
            "The service is not ready; with an API key the reason is told."
        ) from None


_TEXT: Final = {"schema": {"type": "string"}}
_MEDIA_TYPES: Final = ("text/plain", "application/openmetrics-text")


def metrics_routes() -> list[ServiceRoute]:
    """Build the route of the metrics."""
    return [
        ServiceRoute(
            "/metrics",
            metrics,
            needs="key",
            tags=["probes"],
            summary="Metrics for Prometheus",
            response_class=Response,
            responses={200: {"content": dict.fromkeys(_MEDIA_TYPES, _TEXT)}},
        )
    ]


async def metrics(request: Request, plane: Plane) -> Response:
    """Answer all metrics, as OpenMetrics where `Accept` asks for that and as text otherwise."""
    found: Metrics = request.app.state.metrics
    told: list[bytes] = []
    if plane.member is not None:
        told = [each.content for each in await plane.member.ask(Count(), WAIT_SECONDS)]
    # On a thread: it is no function of the event loop to write thousands of lines.
    accept = request.headers.get("accept", "")
    content, content_type = await to_thread.run_sync(found.write, accept, told)
    return Response(content, headers={"Content-Type": content_type})
