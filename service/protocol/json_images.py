"""Images as base64 strings in a JSON body: `{"image": "..."}` or `{"images": ["...", ...]}`."""

import base64
import binascii
import json
from typing import Any

from service.errors import MalformedError, TooLargeError, UnprocessableError
from service.protocol.parts import Part, check_count

_ACCEPTED = "'image' with one base64 string or 'images' with a list of them is accepted"

_MOST_NAMES = 64
"""Fields, with those that are not known: a refusal names them, and should not wait for many."""


def read_json(body: bytes, max_images: int) -> list[Part]:
    """Take the images out of a JSON body, in their order.

    Raises
    ------
    MalformedError
        If the body is not JSON.
    TooLargeError
        If it holds more strings or values than images are accepted.
    UnprocessableError
        If it is of another shape; the sentence names the field.
    """
    # Every image is one string, base64 has no quote, and between two values stands one comma.
    most = max_images + _MOST_NAMES
    if body.count(b'"') > 2 * most or body.count(b",") > most:
        raise TooLargeError(
            f"The JSON body holds too many values; at most {max_images} images are accepted."
        )
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise MalformedError(f"The body is not JSON ({error}); {_ACCEPTED}.") from None
    if not isinstance(document, dict):
        raise UnprocessableError(f"The JSON body is no object; {_ACCEPTED}.")
    unknown = sorted(set(document) - {"image", "images"})
    if unknown:
        raise UnprocessableError(f"The JSON field '{unknown[0]}' is not known; {_ACCEPTED}.")
    if len(document) != 1:
        fault = "has both of the fields" if document else "lacks the field"
        raise UnprocessableError(f"The JSON body {fault} 'image' or 'images'; {_ACCEPTED}.")
    if "image" in document:
        return [_part(document["image"], "image")]
    images = document["images"]
    if not isinstance(images, list) or not images:
        raise UnprocessableError(f"The JSON field 'images' is no list of images; {_ACCEPTED}.")
    check_count(len(images), max_images)
    return [_part(image, f"images[{index}]") for index, image in enumerate(images)]


def _part(value: Any, where: str) -> Part:
    try:
        return Part(base64.b64decode(value, validate=True), where)
    except (TypeError, ValueError, binascii.Error):
        raise UnprocessableError(
            f"The JSON field '{where}' is not a string of base64; {_ACCEPTED}."
        ) from None
