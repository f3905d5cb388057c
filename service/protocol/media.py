"""Which content types carry images, and the codec of each."""

from dataclasses import dataclass
from functools import cached_property
from typing import Final

from service.errors import ServiceError
from service.protocol.json_images import read_json
from service.protocol.multipart import read_multipart
from service.protocol.npy import read_npy
from service.protocol.parts import Part

IMAGE_TYPES: Final = (
    "image/png",
    "image/jpeg",
    "image/webp",
    "image/tiff",
    "image/bmp",
    "application/octet-stream",
)
"""Types whose body is one image file. Its bytes, not this name, tell the format."""

MULTIPART: Final = "multipart/form-data"
NPY: Final = "application/x-npy"
JSON: Final = "application/json"


@dataclass(frozen=True)
class Body:
    """A request's body.

    Attributes
    ----------
    content_type
        The header as it was sent; empty counts as `application/octet-stream` (RFC 9110, 8.3).
    content
        All of its bytes.
    """

    content_type: str
    content: bytes

    @cached_property
    def media_type(self) -> str:
        """The content type without its parameters, in small letters."""
        return self.content_type.partition(";")[0].strip().lower()


def read_parts(body: Body, max_images: int) -> list[Part]:
    """Take the images out of a body, in their order; they are counted before they are built.

    Raises
    ------
    ServiceError
        400 for an empty or unreadable body, 413 for too many images, 415 for another content type,
        422 for other content.
    """
    if not body.content:
        raise ServiceError(400, "The body is empty; one image or more is accepted.")
    media_type = body.media_type
    if not media_type or media_type in IMAGE_TYPES:
        return [Part(body.content)]
    if media_type == MULTIPART:
        return read_multipart(body.content_type, body.content, max_images)
    if media_type == NPY:
        return read_npy(body.content, max_images)
    if media_type == JSON:
        return read_json(body.content, max_images)
    accepted = ", ".join((*IMAGE_TYPES, MULTIPART, NPY, JSON))
    raise ServiceError(415, f"The content type is '{media_type}'; {accepted} are accepted.")
