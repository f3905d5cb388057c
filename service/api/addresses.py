"""How a call names a model: three addresses, each a dependency that yields the model it names.

The model is held until the call is answered: one that is unloaded meanwhile lives so long.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Annotated, Final

from fastapi import Depends, Path, Request
from pydantic import BeforeValidator

from artifact.layout import read_version
from service.audits import JobQueue
from service.data_plane import DataPlane
from service.errors import ServiceError
from service.http.context import RequestContext
from service.http.service_route import Handler
from service.repository.version import ServedModel


def version_of_path(text: str) -> int:
    """Read a version as it stands in a path: as the repository writes it, and in no other way.

    Raises
    ------
    ServiceError (404)
        If it is something else: no version has such a path.
    """
    version = read_version(text)
    if version is None:
        raise ServiceError(404, f"'{text[:32]}' is no version; a positive number is accepted.")
    return version


Name = Annotated[str, Path(description="Name of a model, as `GET /models` lists it.")]
Version = Annotated[
    int, BeforeValidator(version_of_path), Path(ge=1, description="Version of the model.")
]
Resolve = Callable[..., AsyncIterator[ServedModel]]


async def data_plane(request: Request) -> DataPlane:
    """Return the data plane that the application opened when it started."""
    plane: DataPlane = request.app.state.data_plane
    return plane


async def job_queue(request: Request) -> JobQueue:
    """Return the queue of audits that the application opened when it started."""
    plane: JobQueue = request.app.state.job_queue
    return plane


async def root_path(request: Request) -> str:
    """Return what a proxy strips from paths before they come here, for those that are told."""
    path: str = request.scope.get("root_path", "")
    return path


Plane = Annotated[DataPlane, Depends(data_plane)]
Audits = Annotated[JobQueue, Depends(job_queue)]
RootPath = Annotated[str, Depends(root_path)]


async def default_model(plane: Plane) -> AsyncIterator[ServedModel]:
    """Take the latest version of the default model."""
    with plane.repository.find() as model:
        yield model


async def latest_version(plane: Plane, name: Name) -> AsyncIterator[ServedModel]:
    """Take the latest version of the model that the path names."""
    with plane.repository.find(name) as model:
        yield model


async def exact_version(plane: Plane, name: Name, version: Version) -> AsyncIterator[ServedModel]:
    """Take the version that the path names."""
    with plane.repository.find(name, version) as model:
        yield model


ModelHandler = Callable[[RequestContext, DataPlane, ServedModel], Awaitable[None]]


def on_model(handler: ModelHandler) -> Handler:
    """Let a fast route's handler have the model that its path names, held until it returns."""

    async def answer(context: RequestContext, address: Mapping[str, str]) -> None:
        plane: DataPlane = context.scope["app"].state.data_plane
        with _find(plane, address) as model:
            await handler(context, plane, model)

    return answer


def _find(plane: DataPlane, address: Mapping[str, str]) -> ServedModel:
    version = address.get("version")
    if version is None:
        return plane.repository.find(address.get("name"))
    return plane.repository.find(address["name"], version_of_path(version))


LATEST: Final = "/models/{name}"
EXACT: Final = "/models/{name}/versions/{version}"

NAMED: Final[dict[str, Resolve]] = {LATEST: latest_version, EXACT: exact_version}
"""Paths that name a model, and how the model is found."""
