"""Probes: whether the process lives, and whether it should be sent requests."""

from typing import Final, Literal

from fastapi import Request
from pydantic import BaseModel

from service.api.addresses import Plane
from service.api.bodies import errors_documented
from service.auth import is_known
from service.errors import UnavailableError
from service.http.context import RequestContext
from service.http.routes import ServiceRoute

PROBES: Final = frozenset({"/healthz", "/readyz", "/v2/health/live", "/v2/health/ready"})
"""What an orchestrator asks again and again."""


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
    try:
        plane.check_ready()
    except UnavailableError:
        if is_known(request.app.state.keys, RequestContext.of(request.scope)):
            raise
        raise UnavailableError(
            "The service is not ready; with an API key the reason is told."
        ) from None
    return Health(status="ready")
