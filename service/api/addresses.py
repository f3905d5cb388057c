"""How a call names a model: three addresses, each a dependency that yields the model it names."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any, Final

from fastapi import Depends, Path, Request

from service.data_plane import DataPlane
from service.version import ServedModel

Name = Annotated[str, Path(description="Name of a model, as `GET /models` lists it.")]
Version = Annotated[int, Path(description="Version of the model.")]
Resolve = Callable[..., Coroutine[Any, Any, ServedModel]]


async def data_plane(request: Request) -> DataPlane:
    """Return the data plane that the application opened when it started."""
    plane: DataPlane = request.app.state.data_plane
    return plane


Plane = Annotated[DataPlane, Depends(data_plane)]


async def default_model(plane: Plane) -> ServedModel:
    """Take the latest version of the default model."""
    return plane.repository.find()


async def latest_version(plane: Plane, name: Name) -> ServedModel:
    """Take the latest version of the model that the path names."""
    return plane.repository.find(name)


async def exact_version(plane: Plane, name: Name, version: Version) -> ServedModel:
    """Take the version that the path names."""
    return plane.repository.find(name, version)


NAMED: Final[dict[str, Resolve]] = {
    "/models/{name}": latest_version,
    "/models/{name}/versions/{version}": exact_version,
}
"""Paths that name a model, and how the model is found."""
