"""The lines of requests: in the shape of all others, at a small part of what those cost."""

import asyncio
import random
from typing import Any

import structlog

from service.metrics.call import Call
from service.settings import Settings


class RequestLines:
    """Writes a line a request, as the settings have it.

    Each goes through the processors that structlog is configured with, and those of one round of
    the event loop are written together when it is over: it goes round once more before it ends.
    """

    def __init__(self, settings: Settings) -> None:
        self._share = settings.log_requests
        self._level = settings.log_level
        self._waiting: list[str] = []

    def write(self, call: Call, *, remarkable: bool = True, **fields: Any) -> None:
        """Write the line of a call that has ended, from the event loop.

        Parameters
        ----------
        remarkable
            Whether it is no probe, which is asked again and again.
        fields
            Beside those that the call itself knows.
        """
        level = "info" if remarkable else "debug"
        if self._level not in ("debug", level):
            return
        if call.refusal is None and random.random() >= self._share:  # noqa: S311 - no secret
            return
        configured = structlog.get_config()
        line: Any = {"event": "request", **fields, **call.known()}
        try:
            for processor in configured["processors"]:
                line = processor(None, level, line)
        except structlog.DropEvent:  # as a processor may wish
            return
        if not self._waiting:
            asyncio.get_running_loop().call_soon(self._flush, configured["logger_factory"]())
        self._waiting.append(str(line))

    def _flush(self, logger: Any) -> None:
        lines, self._waiting = self._waiting, []
        logger.info("\n".join(lines))
