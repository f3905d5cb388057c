"""Fast routes: documented like every other, and answered without the framework in between."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from starlette.types import Receive, Scope, Send

from service.api.addresses import version_of_path
from service.auth import Need
from service.data_plane import DataPlane
from service.http.context import RequestContext
from service.http.routes import ServiceRoute
from service.repository.version import ServedModel

Handler = Callable[[RequestContext, DataPlane, ServedModel], Awaitable[None]]


class FastRoute(ServiceRoute):
    """A route of a model that FastAPI documents, by a function that it never calls.

    At one small image a request FastAPI's solving of dependencies and validation of answers would
    cost as much as the network. `service.http.middleware.Middleware` calls `handle_fast` instead.

    Parameters
    ----------
    path
        Its template; `name` and `version` in it name the model, none the default model.
    documented
        A function with the parameters and the docstring of the call.
    handler
        What answers it, with the model held until it returns.
    needs
        The key that a call needs.
    """

    def __init__(
        self,
        path: str,
        documented: Callable[..., Any],
        handler: Handler,
        *,
        needs: Need,
        **options: Any,
    ) -> None:
        super().__init__(path, documented, needs=needs, methods=["POST"], **options)
        self._handler = handler

    async def handle_fast(self, context: RequestContext, address: Mapping[str, str]) -> None:
        """Answer one call that may be made; what this raises is a refusal.

        Parameters
        ----------
        address
            What the path has in the places of the template's names.
        """
        plane: DataPlane = context.scope["app"].state.data_plane
        with _find(plane, address) as model:
            await self._handler(context, plane, model)

    async def answer(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a call that came through the framework all the same."""
        await self.handle_fast(RequestContext.of(scope), scope["path_params"])


def _find(plane: DataPlane, address: Mapping[str, str]) -> ServedModel:
    version = address.get("version")
    if version is None:
        return plane.repository.find(address.get("name"))
    return plane.repository.find(address["name"], version_of_path(version))
