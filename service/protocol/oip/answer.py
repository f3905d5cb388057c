"""An inference answer: a JSON header, and the outputs that were asked for as bytes behind it."""

import math
import struct
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import numpy as np
import numpy.typing as npt

from artifact.contract import LOGITS
from service.protocol.oip.document import SHORT
from service.protocol.oip.request import InferRequest, RequestedOutput
from service.protocol.parts import Scores

_encoder = msgspec.json.Encoder()


class Served(NamedTuple):
    """Who answers: the model's name and version, and the labels of its classes."""

    name: str
    version: str
    classes: Sequence[str]


class Answer(NamedTuple):
    """The body of an answer, and the length of its JSON if bytes follow it, else None."""

    body: bytes
    header_length: int | None


class _Size(msgspec.Struct):
    binary_data_size: int


class _Output(msgspec.Struct, omit_defaults=True):
    name: str
    datatype: str
    shape: tuple[int, ...]
    parameters: _Size | None = None
    data: list[Any] | None = None


class _Header(msgspec.Struct, omit_defaults=True):
    model_name: str
    model_version: str
    outputs: list[_Output]
    id: str = ""


def write_answer(request: InferRequest, result: Scores, served: Served) -> Answer:
    """Write the outputs that a request asked for, in its order; FP32, or BYTES where ranked."""
    if all(asked.binary and not asked.classes for asked in request.outputs):
        return _write_binary(request, result, served)
    outputs, buffers = [], []
    for asked in request.outputs:
        datatype, shape, buffer, data = _written(asked, result, served)
        if buffer is None:
            outputs.append(_Output(asked.name, datatype, shape, data=data))
        else:
            outputs.append(_Output(asked.name, datatype, shape, _Size(len(buffer))))
            buffers.append(buffer)
    header = _encoder.encode(_Header(served.name, served.version, outputs, request.id))
    if not buffers:
        return Answer(header, None)
    return Answer(b"".join((header, *buffers)), len(header))


class OutputBytes(NamedTuple):
    """An output as bytes: FP32, or BYTES where classes are ranked, each behind its length."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    content: bytes


def write_bytes(
    outputs: Sequence[RequestedOutput], result: Scores, served: Served
) -> list[OutputBytes]:
    """Write outputs as bytes, in the order in which they were asked for."""
    written = []
    for asked in outputs:
        if not asked.binary:
            asked = asked._replace(binary=True)
        datatype, shape, buffer, _ = _written(asked, result, served)
        written.append(OutputBytes(asked.name, datatype, shape, buffer or b""))
    return written


def _write_binary(request: InferRequest, result: Scores, served: Served) -> Answer:
    """Write bytes alone, behind a header that says nothing about their values."""
    names = tuple([asked.name for asked in request.outputs])
    write = _short_header if len(request.id) <= SHORT else _binary_header
    header = write(served.name, served.version, names, result.logits.shape, request.id)
    buffers = [_bytes(getattr(result, name)) for name in names]
    return Answer(b"".join((header, *buffers)), len(header))


def _binary_header(
    name: str, version: str, outputs: tuple[str, ...], shape: tuple[int, ...], request: str
) -> bytes:
    size = _Size(4 * math.prod(shape))
    written = [_Output(output, "FP32", shape, size) for output in outputs]
    return _encoder.encode(_Header(name, version, written, request))


_short_header = lru_cache(256)(_binary_header)
"""Clients that name their requests do so with a few characters; a longer name is not kept."""


def _bytes(values: npt.NDArray[np.float32]) -> bytes:
    return values.astype("<f4", copy=False).tobytes()


_Written = tuple[str, tuple[int, ...], bytes | None, list[Any] | None]


def _written(asked: RequestedOutput, result: Scores, served: Served) -> _Written:
    values = result.logits if asked.name == LOGITS else result.probabilities
    if asked.classes:
        return _ranked(asked, values, result.logits, served.classes)
    return _tensor(asked, values)


def _tensor(asked: RequestedOutput, values: npt.NDArray[np.float32]) -> _Written:
    if asked.binary:
        return "FP32", values.shape, _bytes(values), None
    return "FP32", values.shape, None, values.ravel().tolist()


def _ranked(
    asked: RequestedOutput,
    values: npt.NDArray[np.float32],
    logits: npt.NDArray[np.float32],
    classes: Sequence[str],
) -> _Written:
    """Rank classes by value; where probabilities tie by their logits, and then by index.

    Values are written with as many digits as tell a float32 from every other.
    """
    order = np.lexsort((-logits, -values), axis=1)[:, : asked.classes]
    texts = [
        f"{row[k]!s}:{k}:{classes[k]}"
        for row, best in zip(values, order, strict=True)
        for k in best
    ]
    if not asked.binary:
        return "BYTES", order.shape, None, texts
    encoded = [text.encode() for text in texts]
    buffer = b"".join(struct.pack("<I", len(text)) + text for text in encoded)
    return "BYTES", order.shape, buffer, None
