"""Routes that are documented like every other and answered without the framework in between."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from fastapi.routing import APIRoute

from service.data_plane import DataPlane
from service.errors import NotFoundError
from service.exchange import Exchange
from service.version import ServedModel

Handler = Callable[[Exchange, DataPlane, ServedModel], Awaitable[None]]


class BareRoute(APIRoute):
    """A route of a model that FastAPI documents, by a function that it never calls.

    At one small image a request FastAPI's solving of dependencies and validation of answers would
    cost as much as the network. `service.front.Front` calls `handle_bare` instead.

    Parameters
    ----------
    path
        Its template; `name` and `version` in it name the model, none the default model.
    documented
        A function with the parameters and the docstring of the call.
    handler
        What answers it, with the model held until it returns.
    """

    def __init__(
        self, path: str, documented: Callable[..., Any], handler: Handler, **options: Any
    ) -> None:
        super().__init__(path, documented, methods=["POST"], **options)
        self._handler = handler

    async def handle_bare(self, exchange: Exchange, address: Mapping[str, str]) -> None:
        """Answer one call; what this raises is a refusal.

        Parameters
        ----------
        address
            What the path has in the places of the template's names.
        """
        plane: DataPlane = exchange.scope["app"].state.data_plane
        with _find(plane, address) as model:
            await self._handler(exchange, plane, model)


def _find(plane: DataPlane, address: Mapping[str, str]) -> ServedModel:
    version = address.get("version")
    if version is None:
        return plane.repository.find(address.get("name"))
    if not (version.isascii() and version.isdigit() and len(version) < 16):
        raise NotFoundError(f"'{version[:32]}' is no version; a positive number is accepted.")
    return plane.repository.find(address["name"], int(version))
