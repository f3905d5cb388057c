"""Classification: the one call that most clients ever make."""

from collections.abc import Callable, Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request
from pydantic import BaseModel, ConfigDict, Field

from service.api.addresses import NAMED, Plane, Resolve, default_model
from service.api.bodies import errors_documented, images_documented, read_body
from service.observability.call import Call
from service.protocol import Classification
from service.version import ServedModel


class ClassifyQuery(BaseModel):
    """What a classification can be asked for."""

    model_config = ConfigDict(extra="forbid")

    top_k: Annotated[
        int, Field(ge=1, description="How many classes to rank; all of them if there are fewer.")
    ] = 5


def classify_routes() -> APIRouter:
    """Build the routes of `/classify` under every address of a model."""
    router = APIRouter(tags=["classification"])
    for prefix, resolve in {"": default_model, **NAMED}.items():
        router.add_api_route(
            f"{prefix}/classify",
            _endpoint(resolve),
            methods=["POST"],
            operation_id=f"classify_{resolve.__name__}",
            summary="Classify one image or several",
            responses=errors_documented(400, 404, 408, 413, 415, 422, 503, 504),
            openapi_extra=images_documented(required=True),
        )
    return router


def _endpoint(resolve: Resolve) -> Callable[..., Coroutine[Any, Any, Classification]]:
    async def classify(
        request: Request,
        plane: Plane,
        model: Annotated[ServedModel, Depends(resolve)],
        query: Annotated[ClassifyQuery, Query()],
    ) -> Classification:
        """Answer one prediction an image, in the order of the images.

        Equal requests get equal bodies: what varies, the request's id and its timings, is in the
        headers `X-Request-ID` and `Server-Timing`.
        """
        call = Call.of(request.scope)
        with call.timings.stage("receive"):
            body = await read_body(request)
        return await plane.classify(model, body, query.top_k, call)

    return classify
