"""Inference: the hot path, from the socket's bytes to the session and back.

The routes are documented like every other and answered without FastAPI in between: at one small
image a request its solving of dependencies would cost as much as the network.
"""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final, TypeVar, TypeVarTuple

from anyio import CapacityLimiter, to_thread
from fastapi.routing import APIRoute
from starlette.requests import Request
from starlette.routing import BaseRoute
from starlette.types import ASGIApp, Receive, Scope, Send

from service.api.addresses import Name, Version
from service.api.bodies import errors_documented
from service.api.oip.documents import INFER
from service.data_plane import DataPlane
from service.engine import Inference, cpu_budget
from service.errors import LateError, NotFoundError
from service.observability.call import Call
from service.protocol.oip import (
    Answer,
    InferRequest,
    Served,
    accepted_coding,
    header_length,
    pack,
    read_request,
    unpack,
    write_answer,
)
from service.version import ServedModel

T = TypeVar("T")
Ts = TypeVarTuple("Ts")

_QUICK_BYTES: Final = 2**16
"""JSON, or anything compressed, above this size is read and written on a thread."""

_WORTH_PACKING: Final = 2**10
"""Smaller answers are sent as they are, whatever coding is accepted."""


def infer_routes(max_images: int, max_bytes: int) -> list[BaseRoute]:
    """Build the two routes of inference, to stand in front of all others."""
    infer = _Infer(max_images, max_bytes)
    return [
        _BareRoute(infer, "/v2/models/{name}/infer", _latest),
        _BareRoute(infer, "/v2/models/{name}/versions/{version}/infer", _exact),
    ]


async def _latest(name: Name) -> None:
    """Classify images, by the highest version of the model.

    The input is `image`, UINT8 `[N, C, H, W]`; the outputs are `logits` and `probabilities`, FP32
    `[N, K]`. Tensors are JSON, or bytes behind it by the binary tensor extension.
    """


async def _exact(name: Name, version: Version) -> None:
    """Classify images, by one version of the model."""


class _BareRoute(APIRoute):
    """A route that FastAPI documents, by a function that is never called, and does not run."""

    def __init__(self, app: ASGIApp, path: str, documented: Callable[..., Awaitable[None]]) -> None:
        super().__init__(
            path,
            documented,
            methods=["POST"],
            tags=["Open Inference Protocol"],
            operation_id=f"infer{documented.__name__}",
            summary="Infer",
            responses=errors_documented(400, 404, 413, 415, 422, 503, 504),
            openapi_extra=INFER,
        )
        self.app = app


class _Infer:
    """The ASGI application behind both routes."""

    def __init__(self, max_images: int, max_bytes: int) -> None:
        self._max_images = max_images
        self._max_bytes = max_bytes
        self._threads = CapacityLimiter(cpu_budget())

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; what it raises is answered by the middleware."""
        plane: DataPlane = scope["app"].state.data_plane
        headers: dict[bytes, bytes] = dict(scope["headers"])
        call = Call.of(scope)
        timings = call.timings
        with timings.stage("receive"):
            body = await Request(scope, receive).body()
        with _find(plane, scope["path_params"]) as model:
            model.asked_to_infer(call)
            with timings.stage("decode"):
                asked = await self._read(body, headers, model)
            result = await _infer(model, asked, call)
        with timings.stage("encode"):
            served = Served(model.card.name, str(model.card.version), model.card.classes)
            heavy = result.logits.nbytes > _QUICK_BYTES
            answer = await self._run(heavy, write_answer, asked, result, served)
            coding = accepted_coding(headers.get(b"accept-encoding", b"").decode("latin-1"))
            packed = answer.body
            if coding is not None and len(packed) >= _WORTH_PACKING:
                packed = await self._run(len(packed) > _QUICK_BYTES, pack, packed, coding)
            else:
                coding = None
        await send(_start(answer, len(packed), coding))
        await send({"type": "http.response.body", "body": packed})

    async def _read(
        self, body: bytes, headers: dict[bytes, bytes], model: ServedModel
    ) -> InferRequest:
        coding = headers.get(b"content-encoding")
        if coding is not None:
            heavy = len(body) > _QUICK_BYTES // 16
            body = await self._run(heavy, unpack, body, coding.decode("latin-1"), self._max_bytes)
        length = header_length(headers.get(b"inference-header-content-length"), body)
        heavy = (len(body) if length is None else length) > _QUICK_BYTES

        def read() -> InferRequest:
            return read_request(body, length, model.ends, max_images=self._max_images)

        return await self._run(heavy, read)

    async def _run(self, heavy: bool, function: Callable[[*Ts], T], *arguments: *Ts) -> T:
        if heavy:
            return await to_thread.run_sync(function, *arguments, limiter=self._threads)
        return function(*arguments)


def _find(plane: DataPlane, address: dict[str, str]) -> ServedModel:
    version = address.get("version")
    if version is None:
        return plane.repository.find(address["name"])
    if not (version.isascii() and version.isdigit() and len(version) < 16):
        raise NotFoundError(f"'{version[:32]}' is no version; a positive number is accepted.")
    return plane.repository.find(address["name"], int(version))


async def _infer(model: ServedModel, asked: InferRequest, call: Call) -> Inference:
    if asked.timeout is None:
        return await model.infer(asked.images, call)
    try:
        async with asyncio.timeout(asked.timeout):
            return await model.infer(asked.images, call)
    except TimeoutError:
        raise LateError(
            f"The request was not answered within its 'timeout' of {asked.timeout} s; it is "
            "dropped, and may be sent again with a longer one."
        ) from None


def _start(answer: Answer, length: int, coding: str | None) -> dict[str, Any]:
    headers = [(b"content-length", str(length).encode())]
    if answer.header_length is None:
        headers.append((b"content-type", b"application/json"))
    else:
        headers.append((b"content-type", b"application/octet-stream"))
        json_length = str(answer.header_length).encode()
        headers.append((b"inference-header-content-length", json_length))
    if coding is not None:
        headers.append((b"content-encoding", coding.encode()))
    return {"type": "http.response.start", "status": 200, "headers": headers}
