"""The JSON of an inference request: read within bounds, each field once."""

import json
import math
import re
from typing import Final

import msgspec

from service.errors import ServiceError, TooLargeError
from service.protocol.names import check_names
from service.protocol.oip.schema import Request, fewest_strings
from service.protocol.oip.tensor import ImageShape

SHORT: Final = 2**10
"""Bytes of a header that may be remembered with what it says."""

MOST_OBJECTS: Final = 256
"""Inputs, outputs and parameters in one header, with a wide margin."""

_MOST_OTHERS: Final = 2**16
"""Commas beside those between pixels, and lists where all of the JSON becomes objects."""

_decoder = msgspec.json.Decoder(Request)


def read_document(header: bytes | memoryview, image: ImageShape, max_images: int) -> Request:
    """Read the JSON of a request for images [C, H, W], of which it may hold the pixels.

    Raises
    ------
    ServiceError
        400 for what is no JSON or has a field twice, 413 for too many values, 422 for other fields.
    """
    _check_marks(header, image, max_images)
    try:
        asked = _decoder.decode(header)
    except msgspec.ValidationError as error:
        raise ServiceError(422, f"The request's JSON is no inference request: {error}.") from None
    except (ValueError, RecursionError) as error:
        raise refuse_json(error, bytes(header)) from None
    _check_names(bytes(header), asked)
    return asked


def _check_names(text: bytes, asked: Request) -> None:
    """Refuse fields that are there twice, of which the decoder takes the last.

    Each name has two quotes, and so has each string. If there are no more of them than what was
    found needs, nothing is there twice; else, as with fields that are null or not known, all names
    are read once more, without the pixels.
    """
    if text.count(b'"') == 2 * fewest_strings(asked):
        return
    if len(asked.inputs) == 1 and (pixels := bytes(asked.inputs[0].data)):
        text = text.replace(pixels, b"0")
    if _holds_much(text):
        raise TooLargeError(
            f"The request's JSON holds too much beside its pixels; at most {_MOST_OTHERS} values "
            "are accepted."
        )
    try:
        check_names(text)
    except (ValueError, RecursionError) as error:
        raise refuse_json(error, text) from None


_HALF: Final = re.compile(rb"\\u[dD][89a-fA-F]")


def refuse_json(error: Exception, text: bytes) -> ServiceError:
    """Turn what is wrong with JSON, by msgspec, into a refusal."""
    if _HALF.search(text) and _is_json(text):  # by its grammar, which knows no characters
        return ServiceError(
            422,
            "The request's JSON has half a character, a surrogate without the other; whole ones "
            "are accepted.",
        )
    return ServiceError(
        400,
        f"The request's JSON cannot be read ({error}); a request of the Open Inference Protocol is "
        "accepted.",
    )


def _holds_much(text: bytes) -> bool:
    """Whether it would be many objects: meanwhile no other thread goes on."""
    return text.count(b",") + text.count(b"[") > _MOST_OTHERS


def _is_json(text: bytes) -> bool:
    if _holds_much(text):
        return False
    try:
        json.loads(text)
    except (ValueError, RecursionError):
        return False
    return True


def _check_marks(header: bytes | memoryview, image: ImageShape, max_images: int) -> None:
    """Bound what the JSON can become in memory, by its objects and by its commas."""
    if len(header) <= SHORT:
        return
    text = bytes(header)
    pixels = max_images * math.prod(image)
    if text.count(b"{") > MOST_OBJECTS or text.count(b",") > pixels + _MOST_OTHERS:
        raise TooLargeError(
            f"The request's JSON holds too many values; the pixels of {max_images} images, and at "
            f"most {MOST_OBJECTS} objects, are accepted."
        )
