"""Bodies: how one that carries images is received, and how OpenAPI describes all of them."""

from typing import Any, Final

from starlette.requests import Request

from service.data_plane import DataPlane
from service.http.context import RequestContext
from service.http.errors import ErrorAnswer
from service.protocol import Body
from service.protocol.media import IMAGE_TYPES, JSON, MULTIPART, NPY

EXAMPLE_IMAGE: Final = (
    "iVBORw0KGgoAAAANSUhEUgAAAAQAAAAECAAAAACMmsGiAAAAF0lEQVR42mNgYPjPwMDwn4GBiYEBSgAAHhQCA8JCVE0A"
    "AAAASUVORK5CYII="
)
"""A PNG of 4 x 4 pixels, for the documentation's requests to work as they stand."""

_FILE: Final = {"type": "string", "format": "binary"}
_BASE64: Final = {"type": "string", "format": "byte"}


async def receive(context: RequestContext) -> bytes:
    """Receive the whole body of a call, unpacked."""
    body = await context.body()
    coding = context.headers.get(b"content-encoding")
    if coding is None:
        return body
    plane: DataPlane = context.scope["app"].state.data_plane
    unpacked = await plane.unpack(body, coding.decode("latin-1"))
    context.call.held.body(len(unpacked))
    return unpacked


async def read_body(request: Request) -> Body:
    """Receive the whole body of a call that the framework answers."""
    content = await receive(RequestContext.of(request.scope))
    return Body(request.headers.get("content-type", ""), content)


def images_documented(*, required: bool) -> dict[str, Any]:
    """Describe a body of images to OpenAPI, in every content type that is accepted."""
    content: dict[str, Any] = {name: {"schema": _FILE} for name in IMAGE_TYPES}
    files = {"type": "array", "items": _FILE}
    content[MULTIPART] = {"schema": {"type": "object", "properties": {"image": files}}}
    content[NPY] = {"schema": _FILE}
    content[JSON] = {
        "schema": {
            "oneOf": [
                {
                    "type": "object",
                    "properties": {"image": _BASE64},
                    "required": ["image"],
                    "additionalProperties": False,
                },
                {
                    "type": "object",
                    "properties": {"images": {"type": "array", "items": _BASE64, "minItems": 1}},
                    "required": ["images"],
                    "additionalProperties": False,
                },
            ]
        },
        "examples": {
            "one": {"summary": "one image", "value": {"image": EXAMPLE_IMAGE}},
            "several": {"summary": "two images", "value": {"images": [EXAMPLE_IMAGE] * 2}},
        },
    }
    return {"requestBody": {"content": content, "required": required}}


def errors_documented(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Describe refusals to OpenAPI: one shape, whatever the status."""
    return {status: {"model": ErrorAnswer} for status in statuses}
