"""The pixels of a request, in each of the three ways in which they are sent."""

import math
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
import numpy as np

from artifact.contract import Images
from service.errors import ServiceError

ImageShape = tuple[int, int, int]
"""[C, H, W] of one image."""

_Pixel = Annotated[int, msgspec.Meta(ge=0, le=255)]
_Flat = list[_Pixel]
_Nested = list[list[list[list[_Pixel]]]]

_flat: Final = msgspec.json.Decoder(_Flat)
_nested: Final = msgspec.json.Decoder(_Nested)
_WHITESPACE: Final = b" \t\r\n"


def raw_pixels(body: bytes, image: ImageShape) -> Images:
    """View a body that is nothing but images [C, H, W], as uint8 [N, C, H, W]; its length tells N.

    Raises
    ------
    ServiceError (400)
        If it is empty or ends within an image.
    """
    size = math.prod(image)
    count, rest = divmod(len(body), size)
    if rest or not count:
        raise ServiceError(
            400,
            f"The body has {len(body)} bytes and no JSON; images of {size} bytes each, "
            f"{list(image)}, are accepted.",
        )
    return np.frombuffer(body, np.uint8).reshape(count, *image)


def binary_pixels(body: bytes, start: int, size: int, shape: Sequence[int]) -> Images:
    """View the bytes behind a request's JSON as images of the shape [N, C, H, W] that it gives.

    Raises
    ------
    ServiceError (400)
        If the announced size is not the shape's, or other than what is there.
    """
    due, there = math.prod(shape), len(body) - start
    if size != due or there != due:
        raise ServiceError(
            400,
            f"The input's shape {list(shape)} asks for {due} bytes, its 'binary_data_size' is "
            f"{size}, and {there} bytes follow the JSON; three times the same is accepted.",
        )
    return np.frombuffer(body, np.uint8, offset=start).reshape(shape)


def json_pixels(data: memoryview, shape: Sequence[int]) -> Images:
    """Read the JSON numbers of a tensor, as one list or nested as its shape [N, C, H, W] is.

    Raises
    ------
    ServiceError (422)
        If they are other than integers of 0 to 255 in one of these two forms.
    """
    text = bytes(data).lstrip(_WHITESPACE)
    if not text:
        raise ServiceError(
            422,
            "The input has neither 'data' nor the parameter 'binary_data_size'; one is accepted.",
        )
    _check_marks(text, shape)
    decoder: msgspec.json.Decoder[Any] = _nested if text[1:].lstrip()[:1] == b"[" else _flat
    try:
        pixels = np.array(decoder.decode(text), np.uint8)
    except (msgspec.DecodeError, ValueError) as error:  # ValueError: rows of unequal length
        raise ServiceError(
            422,
            f"The input's 'data' cannot be read ({error}); integers of 0 to 255 are accepted, as "
            "one list or nested as the shape is.",
        ) from None
    if list(pixels.shape) not in (list(shape), [math.prod(shape)]):
        raise _other_shape(list(pixels.shape), shape)
    return pixels.reshape(shape)


def _check_marks(text: bytes, shape: Sequence[int]) -> None:
    """Bound what the text can become in memory: it has one comma between two values or lists."""
    most_lists = 1 + sum(math.prod(shape[:depth]) for depth in range(1, len(shape)))
    if text.count(b"[") > most_lists or text.count(b",") >= math.prod(shape):
        raise _other_shape("more values or lists", shape)


def _other_shape(found: object, shape: Sequence[int]) -> ServiceError:
    return ServiceError(
        422,
        f"The input's 'data' holds {found} where its shape is {list(shape)}; its "
        f"{math.prod(shape)} values are accepted, as one list or nested as the shape is.",
    )
