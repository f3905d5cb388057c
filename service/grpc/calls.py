"""What surrounds each call: id, key, deadline, counters, a trace and a log line, as with HTTP."""

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import quote

import grpc
import structlog

from service.auth import ApiKeys, Need, check_scope, identify, is_known
from service.data_plane import DataPlane
from service.errors import Reason, ServiceError, refusal_of, shortened
from service.grpc.messages import SERVICE
from service.grpc.receiving import Receiver, decode
from service.metrics.call import Call, request_id
from service.metrics.prometheus import Metrics
from service.metrics.request_lines import RequestLines
from service.metrics.traces import Traces
from service.pending import Held, PendingBytes
from service.settings import Settings

LARGE: Final = 2**16
"""Bytes of a message that is read on a thread."""

_MOST_ENCODED: Final = 6000
"""Bytes of a message's text as gRPC writes it; clients refuse metadata of more than 8 KiB."""

_CODES: Final = {
    HTTPStatus.UNAUTHORIZED: grpc.StatusCode.UNAUTHENTICATED,
    HTTPStatus.FORBIDDEN: grpc.StatusCode.PERMISSION_DENIED,
    HTTPStatus.NOT_FOUND: grpc.StatusCode.NOT_FOUND,
    HTTPStatus.SERVICE_UNAVAILABLE: grpc.StatusCode.UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT: grpc.StatusCode.DEADLINE_EXCEEDED,
}

_ENDED: Final[dict[grpc.StatusCode, Reason]] = {
    grpc.StatusCode.UNAVAILABLE: "full",
    grpc.StatusCode.DEADLINE_EXCEEDED: "slow",
    grpc.StatusCode.UNIMPLEMENTED: "invalid",
}
"""Why a call was ended before it was read, by what its client was told."""

log = structlog.get_logger()


@dataclass(frozen=True)
class Asking:
    """Whoever calls: what is known of the call, and whether they may be told reasons."""

    plane: DataPlane
    call: Call
    known: bool


Answer = Callable[[Asking, Any], Awaitable[Any]]
"""Answers a message by a message, or its bytes; what it raises is a refusal."""


class Calls:
    """Makes gRPC's handlers of functions that answer messages.

    Parameters
    ----------
    pending
        What all requests hold, those by HTTP too.
    open_to_all
        Receives the messages of methods that need no key.
    """

    def __init__(
        self,
        plane: DataPlane,
        settings: Settings,
        pending: PendingBytes,
        open_to_all: Receiver,
        keys: ApiKeys,
        metrics: Metrics,
        traces: Traces,
    ) -> None:
        self._plane, self._keys, self._metrics, self._traces = plane, keys, metrics, traces
        self._seconds, self._pending = settings.request_seconds, pending
        self._receiver, self._open_to_all = receiver_of(settings), open_to_all
        self._lines = RequestLines(settings)

    def handler(
        self, method: str, need: Need, request: type[Any], answer: Answer, *, probe: bool = False
    ) -> grpc.RpcMethodHandler:
        """Build the handler of one method.

        Parameters
        ----------
        request
            The class of the message that it takes.
        probe
            Whether it is asked again and again, and nobody wants to read that it was.
        """

        receiver = self._open_to_all if need == "nothing" else self._receiver

        async def handle(messages: Any, context: Any) -> bytes:
            headers = _headers(context)
            call, identity = self._begin(context, headers)
            trace = self._traces.begin(headers, call)
            code, refusal, written = grpc.StatusCode.OK, None, b""
            try:
                if need != "nothing" and self._keys.asked_for:
                    key = identify(self._keys, headers)
                    call.key = key.name
                    check_scope(key, need)
                with call.timings.stage("receive"):
                    data = await receiver.read(context, call.held.body)
                sent = await self._plane.run(len(data) > LARGE, decode, request, data)
                asking = Asking(self._plane, call, is_known(self._keys, headers))
                found = await answer(asking, sent)
                written = found if isinstance(found, bytes) else found.SerializeToString()
            except asyncio.CancelledError:
                code, call.refusal = grpc.StatusCode.CANCELLED, "cancelled"
                raise
            except grpc.aio.AbortError:
                code, call.refusal = _ended(context)
                raise
            except Exception as error:
                refusal = refusal_of(error)
                if refusal.status == HTTPStatus.INTERNAL_SERVER_ERROR:
                    log.exception("the request failed")
                code, call.refusal = code_of(refusal), refusal.reason
            finally:
                call.end()
                call.held.release()
                self._metrics.called_by_grpc(method, code.name)
                if call.refusal is not None and call.statistics is None:
                    self._metrics.refused(call.refusal)
                self._lines.write(
                    call,
                    identity,
                    method="gRPC",
                    path=method,
                    status=code.name,
                    remarkable=not probe,
                )
                if trace is not None:
                    path = f"/{SERVICE}/{method}"
                    trace.end("gRPC", path, path, 500 if code is grpc.StatusCode.INTERNAL else 200)
            # What a client is told has been counted.
            if refusal is not None:
                await _refuse(context, code, refusal, identity, call)
            context.set_trailing_metadata(_trailers(identity, call))
            return written

        return grpc.stream_unary_rpc_method_handler(handle)

    def _begin(self, context: Any, headers: Mapping[bytes, bytes]) -> tuple[Call, str]:
        left = context.time_remaining()
        seconds = min(self._seconds, math.inf if left is None else left)
        identity = request_id(headers)
        structlog.contextvars.bind_contextvars(request_id=identity)
        return Call(time.monotonic() + seconds, Held(self._pending)), identity


def receiver_of(settings: Settings, share: int = 1) -> Receiver:
    """Make what receives messages, of which those on their way hold such a part of what may be."""
    most = settings.pending_bytes // settings.max_body_bytes // share
    return Receiver(settings.receive_seconds, max(1, most))


def _ended(context: Any) -> tuple[grpc.StatusCode, Reason]:
    """Return why a call was ended whose message was not there, or not the only one."""
    code = context.code()
    return code, _ENDED[code]


def code_of(refusal: ServiceError) -> grpc.StatusCode:
    """Return the code that says of a call by gRPC what a status says of one by HTTP."""
    status = HTTPStatus(refusal.status)
    if status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return _CODES.get(status, grpc.StatusCode.INVALID_ARGUMENT)
    return _CODES.get(status, grpc.StatusCode.INTERNAL)


async def _refuse(
    context: Any, code: grpc.StatusCode, refusal: ServiceError, identity: str, call: Call
) -> None:
    after = refusal.headers.get("Retry-After")
    again = (("retry-after", after),) if after else ()
    await context.abort(code, fitting(refusal.sentence), (*_trailers(identity, call), *again))


def fitting(sentence: str) -> str:
    """Shorten a sentence that takes too many bytes; a character takes at most twelve of them."""
    if len(quote(sentence, " ")) <= _MOST_ENCODED:
        return sentence
    return shortened(sentence, _MOST_ENCODED // 12)


def _trailers(identity: str, call: Call) -> tuple[tuple[str, str], ...]:
    return ("x-request-id", identity), ("server-timing", call.timings.header())


def _headers(context: Any) -> dict[bytes, bytes]:
    """Take the metadata as HTTP's headers, of which the first counts."""
    found = context.invocation_metadata() or ()
    return {
        name.encode(): value if isinstance(value, bytes) else value.encode("latin-1", "replace")
        for name, value in reversed(tuple(found))
    }
