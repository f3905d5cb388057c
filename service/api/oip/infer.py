"""Inference: from the socket's bytes to the session and back."""

import time
from typing import Final

from service.api.addresses import EXACT, LATEST, Name, Version, on_model
from service.api.bodies import errors_documented, receive
from service.api.oip.documents import INFER, TAGS
from service.data_plane import DataPlane
from service.http.context import RequestContext
from service.http.service_route import FastRoute
from service.protocol.compression import accepted_coding, pack
from service.protocol.oip import (
    Answer,
    Served,
    header_length,
    read_request,
    write_answer,
)
from service.repository.version import ServedModel

_QUICK_BYTES: Final = 2**16
"""JSON above this size is read and written on a thread."""

_WORTH_PACKING: Final = 2**10
"""Smaller answers are sent as they are, whatever coding is accepted."""


def infer_routes() -> list[FastRoute]:
    """Build the two routes of inference, to stand before all others."""
    return [
        FastRoute(
            path,
            documented,
            on_model(_infer),
            needs="infer",
            tags=TAGS,
            operation_id=f"infer{documented.__name__}",
            summary="Infer",
            responses=errors_documented(400, 404, 408, 413, 415, 422, 503, 504),
            openapi_extra=INFER,
        )
        for path, documented in (
            (f"/v2{LATEST}/infer", _latest),
            (f"/v2{EXACT}/infer", _exact),
        )
    ]


async def _latest(name: Name) -> None:
    """Classify images, by the highest version of the model.

    The input is `image`, UINT8 `[N, C, H, W]`; the outputs are `logits` and `probabilities`, FP32
    `[N, K]`. Tensors are JSON, or bytes behind it by the binary tensor extension.
    """


async def _exact(name: Name, version: Version) -> None:
    """Classify images, by one version of the model."""


async def _infer(context: RequestContext, plane: DataPlane, model: ServedModel) -> None:
    call, headers = context.call, context.headers
    timings = call.timings
    with timings.stage("receive"):
        body = await receive(context)
    plane.begin(model, call)
    with timings.stage("decode"):
        length = header_length(headers.get(b"inference-header-content-length"), body)
        heavy = (len(body) if length is None else length) > _QUICK_BYTES
        shape = model.ends.image
        asked = await plane.run(heavy, read_request, body, length, shape, plane.max_images)
    if asked.timeout is not None:
        call.deadline = min(call.deadline, time.monotonic() + asked.timeout)
    result = await plane.infer(model, asked.images, call)
    with timings.stage("encode"):
        served = Served(model.card.name, str(model.card.version), model.card.classes)
        heavy = result.logits.nbytes > _QUICK_BYTES
        answer = await plane.run(heavy, write_answer, asked, result, served)
        packed, coding = answer.body, None
        if len(packed) >= _WORTH_PACKING:
            coding = accepted_coding(headers.get(b"accept-encoding", b"").decode("latin-1"))
        if coding is not None:
            packed = await plane.run(len(packed) > _QUICK_BYTES, pack, packed, coding)
    await context.answer(_headers(answer, coding), packed)


def _headers(answer: Answer, coding: str | None) -> list[tuple[bytes, bytes]]:
    if answer.header_length is None:
        headers = [(b"content-type", b"application/json")]
    else:
        json_length = b"%d" % answer.header_length
        headers = [
            (b"content-type", b"application/octet-stream"),
            (b"inference-header-content-length", json_length),
        ]
    if coding is not None:
        headers.append((b"content-encoding", coding.encode()))
    return headers
