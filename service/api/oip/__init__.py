"""The Open Inference Protocol under `/v2`, as tritonclient and the KServe client speak it."""

from service.api.oip.infer import infer_routes
from service.api.oip.models import model_routes
from service.api.oip.repository import repository_routes
from service.api.oip.server import server_routes
from service.http.service_route import ServiceRoute

__all__ = ["infer_routes", "oip_routes"]


def oip_routes(max_batch_size: int, *, model_control: bool) -> list[ServiceRoute]:
    """Build all routes but those of inference, which stand before every other route."""
    return [*server_routes(), *model_routes(max_batch_size), *repository_routes(model_control)]
