"""The text of requests' lines, in the bytes that structlog's processors would write.

Most lines are of answered inferences, which differ in their numbers and ids alone: the rest is
rendered once for each path, status, model and key, and kept.
"""

import time
from collections.abc import Callable, Iterator
from functools import lru_cache, partial
from typing import Any, Final

import msgspec
import structlog

from service.metrics.call import Call
from service.metrics.logs import Output, PlainRenderer, plain_value

_KEPT: Final = 256  # kinds of lines, of which clients choose the paths

_encode: Final = msgspec.json.Encoder().encode

_Kind = tuple[str, str, str, int | str, str, int, str | None]
"""Level, method, path, status, model, version and key."""

_Pieces = tuple[str, str, str, str]
"""What stands between the numbers and ids of one kind of line."""

_Answered = tuple[_Pieces, int, str]
"""Pieces, rows and the id."""


class RequestText:
    """Makes lines as an output's renderer does.

    Those of one round have its end as their time, when they are written.
    """

    def __init__(self, render: Callable[[dict[str, Any]], str], worker: int | None) -> None:
        self._render, self._worker = render, worker
        json = render is _json
        self._pieces: Callable[[_Kind], _Pieces] = lru_cache(_KEPT)(
            partial(_json_pieces if json else _plain_pieces, worker)
        )
        self._join = _json_lines if json else _plain_lines
        self._clock = Clock()
        self._lines: list[str] = []
        self._answered: list[_Answered] = []
        self._seconds: list[float] = []

    def add(
        self,
        call: Call,
        level: str,
        request_id: str,
        method: str,
        path: str,
        status: int | str,
        trace_id: str | None,
    ) -> None:
        """Add the line of a call; its id is one that `service.metrics.call` has made."""
        model, version, rows, engine = call.model, call.version, call.rows, call.timings.engine
        if (
            trace_id is None
            and call.refusal is None
            and engine is not None
            and model is not None
            and version is not None
            and rows is not None
        ):
            pieces = self._pieces((level, method, path, status, model, version, call.key))
            self._answered.append((pieces, rows, request_id))
            self._seconds += (call.timings.total, *engine)
            return
        self._join_answered()
        line = line_of(call, request_id, method, path, status, trace_id)
        if self._worker is not None:
            line["worker"] = self._worker
        self._lines.append(self._render(line | {"level": level, "timestamp": self._clock.iso()}))

    def take(self) -> list[str]:
        """Return the lines that were added since the last time."""
        self._join_answered()
        lines, self._lines = self._lines, []
        return lines

    def _join_answered(self) -> None:
        if not self._answered:
            return
        answered, self._answered = self._answered, []
        seconds, self._seconds = self._seconds, []
        # As `Call.known` rounds them; written all at once.
        written = _encode([round(1e6 * each) / 1000 for each in seconds]).decode()
        self._lines += self._join(answered, iter(written[1:-1].split(",")), self._clock.iso())


class Clock:
    """The time in UTC as structlog writes it; of most calls all but the fraction is known."""

    def __init__(self) -> None:
        self._second, self._text = -1, ""

    def iso(self) -> str:
        """Return the present time, to the microsecond."""
        second, nanoseconds = divmod(time.time_ns(), 1_000_000_000)
        if second != self._second:
            self._second = second
            self._text = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
        microseconds = nanoseconds // 1000
        return f"{self._text}.{microseconds:06d}Z" if microseconds else f"{self._text}Z"


def text_for(output: Output) -> RequestText | None:
    """Return what makes lines as an output has them.

    None for one that only the renderer itself can imitate, as that which writes colours.
    """
    last = output.renderer
    if isinstance(last, structlog.processors.JSONRenderer):
        return RequestText(_json, output.worker)
    if isinstance(last, PlainRenderer):
        return RequestText(lambda line: last(None, "", line), output.worker)
    return None


def line_of(
    call: Call,
    request_id: str,
    method: str,
    path: str,
    status: int | str,
    trace_id: str | None,
) -> dict[str, Any]:
    """Return what a line says, as structlog's processors are given it."""
    line: dict[str, Any] = {"event": "request", "method": method, "path": path, "status": status}
    line |= {**call.known(), "request_id": request_id}
    if trace_id is not None:
        line["trace_id"] = trace_id
    return line


def _json(line: dict[str, Any]) -> str:
    return _encode(line).decode()


def _json_pieces(worker: int | None, kind: _Kind) -> _Pieces:
    level, method, path, status, model, version, key = kind
    request = {"event": "request", "method": method, "path": path, "status": status}
    behind = {} if key is None else {"key": key}
    last = {"level": level} if worker is None else {"worker": worker, "level": level}
    return (
        f'{{{_fields(request)}"ms":',
        f',{_fields({"model": model, "version": version})}"rows":',
        f',{_fields(behind)}"request_id":"',
        f'",{_fields(last)}"timestamp":"',
    )


def _fields(line: dict[str, Any]) -> str:
    return f"{_json(line)[1:-1]}," if line else ""


def _json_lines(answered: list[_Answered], numbers: Iterator[str], timestamp: str) -> list[str]:
    return [
        f'{head}{ms},"queue_ms":{queue_ms},"inference_ms":{inference_ms}{model}{rows}{behind}'
        f'{request_id}{last}{timestamp}"}}'
        for ((head, model, behind, last), rows, request_id), ms, queue_ms, inference_ms in zip(
            answered, numbers, numbers, numbers, strict=True
        )
    ]


def _plain_pieces(worker: int | None, kind: _Kind) -> _Pieces:
    level, method, path, status, model, version, key = kind
    key_field = "" if key is None else f" key={plain_value(key)}"
    worker_field = "" if worker is None else f" worker={worker}"
    return (
        f" [{level:<9}] {'request':<30} inference_ms=",
        f"{key_field} method={plain_value(method)} model={plain_value(model)} ms=",
        f" path={plain_value(path)} queue_ms=",
        f" status={plain_value(status)} version={version}{worker_field}",
    )


def _plain_lines(answered: list[_Answered], numbers: Iterator[str], timestamp: str) -> list[str]:
    return [
        f"{timestamp}{head}{inference_ms}{model}{ms}{path}{queue_ms}"
        f" request_id={request_id} rows={rows}{status}"
        for ((head, model, path, status), rows, request_id), ms, queue_ms, inference_ms in zip(
            answered, numbers, numbers, numbers, strict=True
        )
    ]
