"""An inference request: a JSON header, its tensors inside it or, as bytes, behind it.

What is refused is refused here, before anything is queued: a request that is returned can be run.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Final, NamedTuple

import msgspec

from artifact.contract import INPUT, OUTPUTS, Images
from service.errors import ServiceError
from service.protocol.oip.document import SHORT, read_document
from service.protocol.oip.schema import (
    Input,
    InputParameters,
    Output,
    OutputParameters,
    Parameters,
    Request,
)
from service.protocol.oip.tensor import ImageShape, binary_pixels, json_pixels, raw_pixels
from service.protocol.parts import check_count

_NO_PARAMETERS: Final = Parameters()
_OF_NO_INPUT: Final = InputParameters()
_OF_NO_OUTPUT: Final = OutputParameters()


class RequestedOutput(NamedTuple):
    """One output to answer.

    Attributes
    ----------
    name
        `logits` or `probabilities`.
    binary
        Whether as bytes behind the header, or as numbers in it.
    classes
        How many classes to rank as strings (the classification extension); 0 for the tensor.
    """

    name: str
    binary: bool
    classes: int = 0


@dataclass(slots=True)
class InferRequest:
    """What one request asks.

    Attributes
    ----------
    images
        uint8 [N, C, H, W]; of a binary request a view of the body, not a copy.
    outputs
        What to answer, in order.
    id
        To be echoed; empty for none.
    timeout
        Seconds the client gives it; None for as long as it takes.
    """

    images: Images
    outputs: tuple[RequestedOutput, ...]
    id: str = ""
    timeout: float | None = None


_ALL_BINARY = tuple(RequestedOutput(name, binary=True) for name in OUTPUTS)
_ALL_JSON = tuple(RequestedOutput(name, binary=False) for name in OUTPUTS)


def header_length(header: bytes | None, body: bytes) -> int | None:
    """Read `Inference-Header-Content-Length`: the JSON's bytes, 0 for none, None if not sent.

    Raises
    ------
    ServiceError (400)
        If it is no number, or more than the body has.
    """
    if header is None:
        return None
    # More digits than any body has bytes are refused before they become a number.
    if header.isdigit() and len(header) < 16 and int(header) <= len(body):
        return int(header)
    raise ServiceError(
        400,
        f"Inference-Header-Content-Length is '{header[:32].decode('latin-1')}'; the bytes of the "
        f"JSON at the start of the body, which has {len(body)}, are accepted, or 0 if there is no "
        "JSON.",
    )


def read_request(
    body: bytes, length: int | None, image: ImageShape, max_images: int
) -> InferRequest:
    """Read a request for a model that takes images [C, H, W].

    Parameters
    ----------
    body
        All of it, unpacked.
    length
        What `header_length` returned: of 0, the body is nothing but the pixels of the images.

    Raises
    ------
    ServiceError
        400 for a body that cannot be read, 413 for too many images, 422 for other content.
    """
    if length == 0:
        images = raw_pixels(body, image)
        check_count(len(images), max_images)
        return InferRequest(images, _ALL_BINARY)
    end = len(body) if length is None else length
    if length is not None and end <= SHORT:
        asked = _read_short(body[:end], image, max_images)
    else:
        header = body if length is None else memoryview(body)[:end]
        asked = _read_header(header, image, max_images)
    return InferRequest(_pixels(asked, body, end), asked.outputs, asked.id, asked.timeout)


class CheckedRequest(NamedTuple):
    """What a request says beside its pixels.

    Attributes
    ----------
    shape
        [N, C, H, W] of the images.
    size
        Bytes of pixels that it announces behind its header; None if it announces none.
    data
        The JSON of the pixels, if they are in it.
    outputs, id, timeout
        As `InferRequest`.
    """

    shape: Sequence[int]
    size: int | None
    data: msgspec.Raw
    outputs: tuple[RequestedOutput, ...]
    id: str
    timeout: float | None


def check_request(asked: Request, image: ImageShape, max_images: int) -> CheckedRequest:
    """Check all that a request says beside its pixels, for a model that takes images [C, H, W].

    Raises
    ------
    ServiceError
        413 for too many images, 422 for a tensor, output or parameter that is not accepted.
    """
    parameters = asked.parameters or _NO_PARAMETERS
    if parameters.sequence_id:
        raise ServiceError(
            422,
            "The parameter 'sequence_id' is set, and images are not classified in sequences; "
            "requests without it are accepted.",
        )
    sent, size, data = _input(asked.inputs, image, max_images)
    outputs = _outputs(asked.outputs or [], bool(parameters.binary_data_output))
    timeout = (parameters.timeout or 0) / 1e6 or None
    return CheckedRequest(sent.shape, size, data, outputs, asked.id or "", timeout)


def _read_header(header: bytes | memoryview, image: ImageShape, max_images: int) -> CheckedRequest:
    return check_request(read_document(header, image, max_images), image, max_images)


_read_short = lru_cache(256)(_read_header)
"""Clients that send their pixels as bytes send the same few headers again and again."""


def _input(
    inputs: list[Input], image: ImageShape, max_images: int
) -> tuple[Input, int | None, msgspec.Raw]:
    """Check the inputs; return the one, the bytes of its values and the JSON of its values."""
    if len(inputs) != 1 or inputs[0].name != INPUT:
        names = ", ".join(f"'{each.name}'" for each in inputs) or "none"
        raise ServiceError(422, f"The inputs are {names}; one, '{INPUT}', is accepted.")
    (sent,) = inputs
    parameters = sent.parameters or _OF_NO_INPUT
    if parameters.shared_memory_region is not None:
        raise _no_shared_memory(INPUT)
    _check_type(sent, image)
    check_count(sent.shape[0], max_images)
    data = msgspec.Raw() if bytes(memoryview(sent.data)[:4]) == b"null" else sent.data
    if parameters.binary_data_size is not None and data:
        raise ServiceError(
            422, f"The input '{INPUT}' has both 'data' and 'binary_data_size'; one is accepted."
        )
    return sent, parameters.binary_data_size, data


def _pixels(asked: CheckedRequest, body: bytes, end: int) -> Images:
    if asked.size is not None:
        return binary_pixels(body, end, asked.size, asked.shape)
    if end != len(body):
        raise ServiceError(
            400, f"{len(body) - end} bytes follow the JSON and no input has a 'binary_data_size'."
        )
    return json_pixels(memoryview(asked.data), asked.shape)


def _check_type(sent: Input, image: ImageShape) -> None:
    if sent.datatype != "UINT8":
        raise ServiceError(
            422, f"The input '{INPUT}' is of datatype '{sent.datatype}'; UINT8 is accepted."
        )
    if tuple(sent.shape[1:]) != image or sent.shape[0] < 1:
        raise ServiceError(
            422,
            f"The input '{INPUT}' has the shape {sent.shape}; "
            f"[N, {', '.join(map(str, image))}] with N of at least 1 is accepted.",
        )


def _outputs(asked: list[Output], binary: bool) -> tuple[RequestedOutput, ...]:
    if not asked:
        return _ALL_BINARY if binary else _ALL_JSON
    names = [each.name for each in asked]
    if len(set(names)) != len(names) or not set(names) <= set(OUTPUTS):
        raise ServiceError(
            422,
            f"The outputs asked for are {', '.join(map(repr, names))}; each of "
            f"{', '.join(map(repr, OUTPUTS))} is accepted once.",
        )
    return tuple(_output(each, binary) for each in asked)


def _output(asked: Output, binary: bool) -> RequestedOutput:
    wanted = asked.parameters or _OF_NO_OUTPUT
    classes = wanted.classification or 0
    if wanted.shared_memory_region is not None:
        raise _no_shared_memory(asked.name)
    if not 0 <= classes < 2**31:
        raise ServiceError(
            422,
            f"The parameter 'classification' of '{asked.name}' is {classes}; the "
            "number of classes to rank is accepted.",
        )
    own = wanted.binary_data
    return RequestedOutput(asked.name, binary if own is None else own, classes)


def _no_shared_memory(tensor: str) -> ServiceError:
    return ServiceError(
        422,
        f"The tensor '{tensor}' is in shared memory, which this service does not have; tensors "
        "in the request's body are accepted.",
    )
