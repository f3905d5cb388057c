"""The Open Inference Protocol under `/v2`, as tritonclient and the KServe client speak it."""

from fastapi import APIRouter

from service.api.oip.infer import infer_routes
from service.api.oip.models import model_routes
from service.api.oip.repository import repository_routes
from service.api.oip.server import server_routes

__all__ = ["infer_routes", "oip_routes"]


def oip_routes(max_batch: int) -> APIRouter:
    """Build all routes but those of inference, which stand in front of every other route."""
    router = APIRouter(tags=["Open Inference Protocol"])
    for routes in (server_routes(), model_routes(max_batch), repository_routes()):
        router.include_router(routes)
    return router
