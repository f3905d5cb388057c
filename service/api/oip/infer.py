"""Inference: from the socket's bytes to the session and back."""

import time
from collections.abc import Callable
from typing import Final, TypeVar, TypeVarTuple

from anyio import CapacityLimiter, to_thread

from artifact.cpus import cpu_budget
from service.api.addresses import Name, Version
from service.api.bodies import errors_documented, receive
from service.api.oip.documents import INFER, TAGS
from service.data_plane import DataPlane
from service.http.context import RequestContext
from service.http.fast_routes import FastRoute
from service.protocol.oip import (
    Answer,
    InferRequest,
    Served,
    accepted_coding,
    header_length,
    pack,
    read_request,
    write_answer,
)
from service.repository.version import ServedModel

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_QUICK_BYTES: Final = 2**16
"""JSON above this size is read and written on a thread."""

_WORTH_PACKING: Final = 2**10
"""Smaller answers are sent as they are, whatever coding is accepted."""


def infer_routes(max_images: int) -> list[FastRoute]:
    """Build the two routes of inference, to stand in front of all others."""
    infer = _Infer(max_images)
    return [
        FastRoute(
            path,
            documented,
            infer,
            needs="infer",
            tags=TAGS,
            operation_id=f"infer{documented.__name__}",
            summary="Infer",
            responses=errors_documented(400, 404, 413, 415, 422, 503, 504),
            openapi_extra=INFER,
        )
        for path, documented in (
            ("/v2/models/{name}/infer", _latest),
            ("/v2/models/{name}/versions/{version}/infer", _exact),
        )
    ]


async def _latest(name: Name) -> None:
    """Classify images, by the highest version of the model.

    The input is `image`, UINT8 `[N, C, H, W]`; the outputs are `logits` and `probabilities`, FP32
    `[N, K]`. Tensors are JSON, or bytes behind it by the binary tensor extension.
    """


async def _exact(name: Name, version: Version) -> None:
    """Classify images, by one version of the model."""


class _Infer:
    """What answers both routes."""

    def __init__(self, max_images: int) -> None:
        self._max_images = max_images
        self._threads = CapacityLimiter(cpu_budget())

    async def __call__(self, context: RequestContext, plane: DataPlane, model: ServedModel) -> None:
        """Answer one request."""
        call, headers = context.call, context.headers
        timings = call.timings
        with timings.stage("receive"):
            body = await receive(context)
        model.asked_to_infer(call)
        with timings.stage("decode"):
            asked = await self._read(body, headers, model)
        if asked.timeout is not None:
            call.deadline = min(call.deadline, time.monotonic() + asked.timeout)
        result = await model.infer(asked.images, call)
        with timings.stage("encode"):
            served = Served(model.card.name, str(model.card.version), model.card.classes)
            heavy = result.logits.nbytes > _QUICK_BYTES
            answer = await self._run(heavy, write_answer, asked, result, served)
            packed, coding = answer.body, None
            if len(packed) >= _WORTH_PACKING:
                coding = accepted_coding(headers.get(b"accept-encoding", b"").decode("latin-1"))
            if coding is not None:
                packed = await self._run(len(packed) > _QUICK_BYTES, pack, packed, coding)
        await context.answer(_headers(answer, coding), packed)

    async def _read(
        self, body: bytes, headers: dict[bytes, bytes], model: ServedModel
    ) -> InferRequest:
        length = header_length(headers.get(b"inference-header-content-length"), body)
        heavy = (len(body) if length is None else length) > _QUICK_BYTES

        def read() -> InferRequest:
            return read_request(body, length, model.ends, max_images=self._max_images)

        return await self._run(heavy, read)

    async def _run(self, heavy: bool, function: Callable[[*Ts], T], *arguments: *Ts) -> T:
        if heavy:
            return await to_thread.run_sync(function, *arguments, limiter=self._threads)
        return function(*arguments)


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
