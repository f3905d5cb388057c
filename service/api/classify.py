"""Classification: the one call that most clients ever make."""

from functools import lru_cache
from typing import Annotated, Final

from fastapi import Query
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from service.api.addresses import EXACT, LATEST, Name, Version, on_model
from service.api.bodies import errors_documented, images_documented, receive
from service.data_plane import DataPlane
from service.http.context import RequestContext
from service.http.errors import invalid_parameter
from service.http.service_route import FastRoute, read_query
from service.protocol import Body, Classification, write_classification
from service.repository.version import ServedModel


class ClassifyQuery(BaseModel):
    """What a classification can be asked for."""

    model_config = ConfigDict(extra="forbid")

    top_k: Annotated[
        int, Field(ge=1, description="How many classes to rank; all of them if there are fewer.")
    ] = 5


Asked = Annotated[ClassifyQuery, Query()]


def classify_routes() -> list[FastRoute]:
    """Build the routes of `/classify` under every address of a model, to stand before others."""
    return [
        FastRoute(
            f"{prefix}/classify",
            documented,
            on_model(_classify),
            needs="infer",
            tags=["classification"],
            operation_id=f"classify_{documented.__name__}",
            summary="Classify one image or several",
            description=_DESCRIPTION,
            response_model=Classification,
            responses=errors_documented(400, 404, 408, 413, 415, 422, 503, 504),
            openapi_extra=images_documented(required=True),
        )
        for prefix, documented in (
            ("", default_model),
            (LATEST, latest_version),
            (EXACT, exact_version),
        )
    ]


_DESCRIPTION: Final = """
Answer one prediction an image, in the order of the images.

Equal requests get equal bodies: what varies, the request's id and its timings, is in the headers
`X-Request-ID` and `Server-Timing`.
"""


def default_model(query: Asked) -> None:
    """Classify by the latest version of the default model."""


def latest_version(name: Name, query: Asked) -> None:
    """Classify by the latest version of the model."""


def exact_version(name: Name, version: Version, query: Asked) -> None:
    """Classify by one version of the model."""


async def _classify(context: RequestContext, plane: DataPlane, model: ServedModel) -> None:
    query = _query(context.scope["query_string"])
    with context.call.timings.stage("receive"):
        content_type = context.headers.get(b"content-type", b"").decode("latin-1")
        body = Body(content_type, await receive(context))
    found = await plane.classify(model, body, query.top_k, context.call)
    with context.call.timings.stage("encode"):
        answer = write_classification(found)
    await context.answer([(b"content-type", b"application/json")], answer)


@lru_cache(64)
def _query(text: bytes) -> ClassifyQuery:
    """Read the part of an address behind its question mark."""
    given = read_query(text)
    try:
        return ClassifyQuery.model_validate(given)
    except ValidationError as error:
        first = error.errors()[0]
        raise invalid_parameter("query", first["loc"][0], first) from None
