"""Inference between protobuf's messages and what the data plane takes and gives.

A message is read and written field by field, which takes longer than its bytes: what is the same
in request after request, all but the pixels, is read once, and so it is with answers.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Any, Final

import msgspec
import numpy as np

from artifact.contract import Images
from service.errors import ServiceError, TooLargeError
from service.grpc.messages import message
from service.protocol.oip import (
    CheckedRequest,
    InferRequest,
    Request,
    Served,
    check_request,
    write_bytes,
)
from service.protocol.oip.document import MOST_OBJECTS, SHORT
from service.protocol.oip.tensor import ImageShape
from service.protocol.parts import Scores

_Request: Final = message("ModelInferRequest")
_Response: Final = message("ModelInferResponse")
_Output: Final = message("ModelInferResponse").InferOutputTensor

_OTHER_CONTENTS: Final = (
    *("bool_contents", "int_contents", "int64_contents", "uint64_contents"),
    *("fp32_contents", "fp64_contents", "bytes_contents"),
)


def read_infer(sent: Any, image: ImageShape, max_images: int) -> InferRequest:
    """Read a `ModelInferRequest` for a model that takes images [C, H, W], which loses its pixels.

    Raises
    ------
    ServiceError
        413 for too many images, 422 for other content, as over HTTP.
    """
    raw = tuple(sent.raw_input_contents)
    if raw:
        sent.ClearField("raw_input_contents")
        header = sent.SerializeToString()
        read = _read_short if len(header) <= SHORT else _read_header
        checked = read(header, image, max_images)
    else:
        checked = _read(sent, image, max_images)
    images = _pixels(sent, raw, checked.shape)
    return InferRequest(images, checked.outputs, checked.id, checked.timeout)


def write_infer(request: InferRequest, result: Scores, served: Served) -> bytes:
    """Write a `ModelInferResponse` with the outputs that were asked for, as raw contents."""
    written = write_bytes(request.outputs, result, served)
    outputs = tuple([(each.name, each.datatype, tuple(each.shape)) for each in written])
    # Bytes of one message behind those of another are the bytes of both in one.
    write = _short_header if len(request.id) <= SHORT else _header
    header = write(served.name, served.version, request.id, outputs)
    contents = _Response(raw_output_contents=[each.content for each in written])
    return header + bytes(contents.SerializeToString())


def _header(
    name: str, version: str, request: str, outputs: tuple[tuple[str, str, tuple[int, ...]], ...]
) -> bytes:
    described = [_Output(name=name, datatype=kind, shape=shape) for name, kind, shape in outputs]
    response = _Response(model_name=name, model_version=version, id=request, outputs=described)
    return bytes(response.SerializeToString())


_short_header: Final = lru_cache(256)(_header)
"""A longer name of a request is not kept."""


def _read(sent: Any, image: ImageShape, max_images: int) -> CheckedRequest:
    if len(sent.inputs) + len(sent.outputs) > MOST_OBJECTS:
        raise TooLargeError(
            f"The message holds too many inputs and outputs; at most {MOST_OBJECTS} are accepted."
        )
    try:
        asked = msgspec.convert(_plain(sent), Request)
    except msgspec.ValidationError as error:
        raise ServiceError(422, f"The message is no inference request: {error}.") from None
    return check_request(asked, image, max_images)


def _read_header(header: bytes, image: ImageShape, max_images: int) -> CheckedRequest:
    return _read(_Request.FromString(header), image, max_images)


_read_short: Final = lru_cache(256)(_read_header)


def _plain(sent: Any) -> dict[str, Any]:
    """Take a message as the JSON of the same request would be, without the pixels."""
    return {
        "id": sent.id,
        "parameters": _parameters(sent.parameters),
        "inputs": [
            {
                "name": each.name,
                "shape": list(each.shape),
                "datatype": each.datatype,
                "parameters": _parameters(each.parameters),
            }
            for each in sent.inputs
        ],
        "outputs": [
            {"name": each.name, "parameters": _parameters(each.parameters)} for each in sent.outputs
        ],
    }


_IMPLIED: Final = frozenset({"binary_data", "binary_data_output", "binary_data_size"})
"""Parameters of HTTP's extension for bytes, which every message here does without."""


def _parameters(sent: Mapping[str, Any]) -> dict[str, Any]:
    return dict(_chosen(sent)) if sent else {}


def _chosen(sent: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, parameter in sent.items():
        kind = parameter.WhichOneof("parameter_choice")
        if kind is not None and name not in _IMPLIED:
            yield name, getattr(parameter, kind)


def _pixels(sent: Any, raw: Sequence[bytes], shape: Sequence[int]) -> Images:
    (tensor,) = sent.inputs
    due = math.prod(shape)
    if raw:
        if tensor.HasField("contents") or len(raw) > 1 or len(raw[0]) != due:
            sizes = " and ".join(str(len(each)) for each in raw)
            raise ServiceError(
                400,
                f"The input's shape {list(shape)} asks for {due} bytes, and its raw contents have "
                f"{sizes}{', beside others' if tensor.HasField('contents') else ''}; {due} bytes, "
                "once, are accepted.",
            )
        return np.frombuffer(raw[0], np.uint8).reshape(shape)
    contents = tensor.contents
    others = [name for name in _OTHER_CONTENTS if getattr(contents, name)]
    values = np.fromiter(contents.uint_contents, np.uint32, len(contents.uint_contents))
    if others or values.size != due or values.max(initial=0) > 255:
        found = f"{others[0]}" if others else f"{values.size} values"
        raise ServiceError(
            422,
            f"The input's shape {list(shape)} asks for {due} values of 0 to 255, and there are "
            f"{found}{'' if others or values.size != due else ', some of them larger'}; "
            "'raw_input_contents' or 'uint_contents' of that size are accepted.",
        )
    return values.astype(np.uint8).reshape(shape)
