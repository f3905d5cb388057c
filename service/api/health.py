"""Probes: whether the process lives, and whether it should be sent requests."""

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from service.api.addresses import Plane
from service.api.bodies import errors_documented


class Health(BaseModel):
    """The answer of a probe that succeeds."""

    status: Literal["ok", "ready"]


def health_routes() -> APIRouter:
    """Build the routes of the probes."""
    router = APIRouter(tags=["probes"])
    router.add_api_route("/healthz", healthz, summary="Liveness")
    router.add_api_route("/readyz", readyz, summary="Readiness", responses=errors_documented(503))
    return router


async def healthz() -> Health:
    """Answer as long as the event loop runs."""
    return Health(status="ok")


async def readyz(plane: Plane) -> Health:
    """Answer 200 while requests should be sent here, and 503 with the reason while not."""
    plane.check_ready()
    return Health(status="ready")
