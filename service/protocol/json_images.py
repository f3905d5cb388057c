"""Images as base64 strings in a JSON body: `{"image": "..."}` or `{"images": ["...", ...]}`."""

import base64
import binascii
import json
import re
from contextlib import suppress
from typing import Any

from service.errors import ServiceError, TooLargeError
from service.protocol.names import unique
from service.protocol.parts import Part, check_count

_ACCEPTED = "'image' with one base64 string or 'images' with a list of them is accepted"

_DATA_URL = re.compile(r"data:[!-+\--~]{0,200};base64,", re.IGNORECASE)

_MOST_NAMES = 64
"""Fields, with those that are not known: a refusal names them, and should not wait for many."""


def read_json(body: bytes, max_images: int) -> list[Part]:
    """Take the images out of a JSON body, in their order.

    Raises
    ------
    ServiceError (400)
        If the body is not JSON, or has a field twice.
    TooLargeError
        If it holds more strings or values than images are accepted.
    ServiceError (422)
        If it is of another shape; the sentence names the field.
    """
    # Every image is one string, base64 has no quote, and between two values stands one comma, and
    # another in an address of the scheme data. Lists need no comma to lie in one another.
    most = max_images + _MOST_NAMES
    if max(map(body.count, (b'"', b",", b"[", b"{"))) > 2 * most:
        raise TooLargeError(
            f"The JSON body holds too many values; at most {max_images} images are accepted."
        )
    try:
        document = json.loads(body, object_pairs_hook=unique)
    except (ValueError, RecursionError) as error:
        raise ServiceError(400, f"The body is not JSON ({error}); {_ACCEPTED}.") from None
    if not isinstance(document, dict):
        raise ServiceError(422, f"The JSON body is no object; {_ACCEPTED}.")
    unknown = sorted(set(document) - {"image", "images"})
    if unknown:
        raise ServiceError(422, f"The JSON field '{unknown[0]}' is not known; {_ACCEPTED}.")
    if len(document) != 1:
        fault = "has both of the fields" if document else "lacks the field"
        raise ServiceError(422, f"The JSON body {fault} 'image' or 'images'; {_ACCEPTED}.")
    if "image" in document:
        return [_part(document["image"], "image")]
    images = document["images"]
    if not isinstance(images, list) or not images:
        raise ServiceError(422, f"The JSON field 'images' is no list of images; {_ACCEPTED}.")
    check_count(len(images), max_images)
    return [_part(image, f"images[{index}]") for index, image in enumerate(images)]


def _part(value: Any, where: str) -> Part:
    try:
        content = base64.b64decode(value, validate=True)
    except (TypeError, ValueError, binascii.Error):
        content = _loosely(value, where)
    return Part(content, where)


def _loosely(value: Any, where: str) -> bytes:
    """Read base64 in lines (RFC 2045), or as the address of the scheme data that browsers make."""
    if isinstance(value, str):
        text = value.partition(",")[2] if _DATA_URL.match(value) else value
        with suppress(ValueError):
            return base64.b64decode("".join(text.split()), validate=True)
    raise ServiceError(
        422,
        f"The JSON field '{where}' is not a string of base64, by itself, in lines or as a data: "
        f"address; {_ACCEPTED}.",
    )
