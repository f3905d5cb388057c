"""The lines of requests: in the shape of all others, at a small part of what those cost."""

import asyncio
import random
from typing import Any

import structlog

from service.metrics.call import Call
from service.metrics.logs import Output
from service.metrics.request_text import RequestText, line_of, text_for
from service.settings import Settings


class RequestLines:
    """Writes a line a request, as the settings have it.

    Those of one round of the event loop are written together when it is over: it goes round once
    more before it ends. A line is what the processors make of it that structlog is configured with;
    where `configure_logs` has configured them it is made without them, in the same bytes.
    """

    def __init__(self, settings: Settings) -> None:
        self._share = settings.log_requests
        self._level = settings.log_level
        self._configured: dict[str, Any] = {}
        self._output: Output | None = None
        self._text: RequestText | None = None
        self._processed: list[str] = []

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
        if self._text is not None:
            self._text.add(call, level, request_id, method, path, status, trace_id)
        else:
            self._process(line_of(call, request_id, method, path, status, trace_id), level)

    def _begin_round(self) -> None:
        self._configured = structlog.get_config()
        output = self._configured["logger_factory"]
        if output is not self._output:
            self._output = output if isinstance(output, Output) else None
            self._text = None if self._output is None else text_for(self._output)
        asyncio.get_running_loop().call_soon(self._flush)

    def _process(self, line: Any, level: str) -> None:
        try:
            for processor in self._configured["processors"]:
                line = processor(None, level, line)
        except structlog.DropEvent:  # as a processor may wish
            return
        self._processed.append(str(line))

    def _flush(self) -> None:
        configured, self._configured = self._configured, {}
        if self._text is not None and self._output is not None:
            self._output.write_lines(self._text.take())
        elif self._processed:
            lines, self._processed = self._processed, []
            configured["logger_factory"]().info("\n".join(lines))
