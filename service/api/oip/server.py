"""The server as a whole: whether it lives, whether it is ready, what it speaks, what it lacks."""

from collections.abc import Callable, Coroutine
from typing import Any, Final, Literal

from fastapi import Request
from pydantic import BaseModel

from artifact.product import product_version
from service.api.addresses import LATEST, Plane
from service.api.bodies import errors_documented
from service.api.monitoring import readyz
from service.api.oip.documents import TAGS
from service.errors import ServiceError
from service.http.service_route import ServiceRoute

EXTENSIONS: Final = (
    "binary_tensor_data",
    "classification",
    "model_configuration",
    "model_repository",
    "model_repository(unload_dependents)",
    "statistics",
)


class Live(BaseModel):
    """The server lives."""

    live: Literal[True] = True


class Ready(BaseModel):
    """The server is ready."""

    ready: Literal[True] = True


class ServerMetadata(BaseModel):
    """Who answers, and which extensions of the protocol it speaks."""

    name: str
    version: str
    extensions: list[str]


def server_routes() -> list[ServiceRoute]:
    """Build the routes about the server, and those that say what it does not have."""
    return [
        ServiceRoute("/v2", server_metadata, needs="key", tags=TAGS, summary="Server metadata"),
        ServiceRoute(
            "/v2/health/live", live, needs="nothing", tags=TAGS, summary="Server liveness"
        ),
        ServiceRoute(
            "/v2/health/ready",
            ready,
            needs="nothing",
            tags=TAGS,
            summary="Server readiness",
            responses=errors_documented(503),
        ),
        *(
            ServiceRoute(
                path,
                _absence(what),
                needs="key",
                methods=["GET", "POST"],
                include_in_schema=False,
            )
            for path, what in _ABSENT.items()
        ),
    ]


async def server_metadata() -> ServerMetadata:
    """Answer name, version and extensions."""
    return ServerMetadata(name="orbitserve", version=product_version(), extensions=list(EXTENSIONS))


async def live() -> Live:
    """Answer as long as the event loop runs."""
    return Live()


async def ready(request: Request, plane: Plane) -> Ready:
    """Answer 200 where `/readyz` does, and 503 as it does where it does not."""
    await readyz(request, plane)
    return Ready()


TRACES: Final = "no trace settings to read or to change by request"
LOGS: Final = "no log settings to change by request; ORBITSERVE_LOG_LEVEL and _LOG_FORMAT set them"
MEMORY: Final = "no shared memory; tensors in the request's body are accepted"

_ABSENT: Final = {
    "/v2/trace/setting": TRACES,
    f"/v2{LATEST}/trace/setting": TRACES,
    "/v2/logging": LOGS,
    "/v2/systemsharedmemory/{rest:path}": MEMORY,
    "/v2/cudasharedmemory/{rest:path}": MEMORY,
}


def _absence(what: str) -> Callable[[], Coroutine[Any, Any, None]]:
    async def absent() -> None:
        raise ServiceError(404, f"This service has {what}.")

    return absent
