"""The lines of requests: in the shape of all others, at a small part of what those cost."""

import asyncio
import random
import time
from collections.abc import Callable
from typing import Any

import msgspec
import structlog

from service.metrics.call import Call
from service.metrics.logs import Output, PlainRenderer
from service.settings import Settings

_encode = msgspec.json.Encoder().encode
Render = Callable[[dict[str, Any]], str]


class RequestLines:
    """Writes a line a request, as the settings have it.

    Those of one round of the event loop are written together when it is over: it goes round once
    more before it ends. A line is what the processors make of it that structlog is configured with;
    where `configure_logs` has configured them it is made without them, in the same bytes.
    """

    def __init__(self, settings: Settings) -> None:
        self._share = settings.log_requests
        self._level = settings.log_level
        self._clock = Clock()
        self._waiting: list[str] = []
        self._configured: dict[str, Any] = {}
        self._render: Render | None = None
        self._worker: int | None = None

    def write(
        self,
        call: Call,
        request_id: str,
        *,
        method: str,
        path: str,
        status: int | str,
        trace_id: str | None = None,
        remarkable: bool = True,
    ) -> None:
        """Write the line of a call that has ended, from the event loop.

        Parameters
        ----------
        remarkable
            Whether it is no probe, which is asked again and again.
        """
        level = "info" if remarkable else "debug"
        if self._level not in ("debug", level):
            return
        if call.refusal is None and random.random() >= self._share:  # noqa: S311 - no secret
            return
        if not self._configured:
            self._begin_round()
        line: dict[str, Any] = {"event": "request", "method": method, "path": path}
        line |= {"status": status, **call.known(), "request_id": request_id}
        if trace_id is not None:
            line["trace_id"] = trace_id
        if self._render is None:
            self._process(line, level)
            return
        if self._worker is not None:
            line["worker"] = self._worker
        line["level"], line["timestamp"] = level, self._clock.iso()
        self._waiting.append(self._render(line))

    def _begin_round(self) -> None:
        self._configured = structlog.get_config()
        output = self._configured["logger_factory"]
        self._render = None
        if isinstance(output, Output):
            self._render, self._worker = renderer(output.renderer), output.worker
        asyncio.get_running_loop().call_soon(self._flush)

    def _process(self, line: Any, level: str) -> None:
        try:
            for processor in self._configured["processors"]:
                line = processor(None, level, line)
        except structlog.DropEvent:  # as a processor may wish
            return
        self._waiting.append(str(line))

    def _flush(self) -> None:
        lines, self._waiting = self._waiting, []
        configured, self._configured = self._configured, {}
        if lines:
            configured["logger_factory"]().info("\n".join(lines))


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


def renderer(last: Any) -> Render | None:
    """Return what makes of the line of a request the text that a renderer of `logs` would.

    None for one that only the renderer itself can imitate, as that which writes colours.
    """
    if isinstance(last, structlog.processors.JSONRenderer):
        return _json
    if isinstance(last, PlainRenderer):
        return lambda line: _plain(line) or last(None, "", line)
    return None


def _json(line: dict[str, Any]) -> str:
    return _encode(line).decode()


def _plain(line: dict[str, Any]) -> str | None:
    """Write the line of an answered inference; None for another, or if a value needs quotes."""
    key = f" key={line['key']}" if "key" in line else ""
    worker = f" worker={line['worker']}" if "worker" in line else ""
    fields = 10 + bool(key) + bool(worker)
    if len(line) != fields + len(("timestamp", "level", "event")):
        return None
    try:
        text = (
            f" inference_ms={_number(line['inference_ms'])}{key} method={line['method']}"
            f" model={line['model']} ms={_number(line['ms'])} path={line['path']}"
            f" queue_ms={_number(line['queue_ms'])} request_id={line['request_id']}"
            f" rows={line['rows']} status={line['status']} version={line['version']}{worker}"
        )
    except KeyError:
        return None
    if not _is_bare(text, fields):
        return None
    return f"{line['timestamp']} [{line['level']:<9}] {line['event']:<30}{text}"


def _number(value: float) -> str:
    return _encode(value).decode()  # in a third of the time that `str` takes


def _is_bare(text: str, fields: int) -> bool:
    """Whether no value needs quotes or escapes in fields that stand behind one another."""
    return (
        text.isprintable()
        and text.count(" ") == text.count("=") == fields
        and '"' not in text
        and "'" not in text
    )
