"""Log lines: structlog for the service's own, and the same shape for what libraries log."""

import logging
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, Literal, TextIO, cast

import msgspec
import structlog
from structlog.typing import Processor


def configure_logs(style: Literal["console", "json"], level: str) -> None:
    """Send everything that is logged in this process to stderr, in one format.

    The service's own lines are written without the standard library in between, which would take
    most of the time that the line of a request takes.
    """
    shared: Sequence[Processor] = (
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    )
    structlog.configure(
        processors=[*shared, *_renderers(style)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.WriteLoggerFactory(cast(TextIO, _Unfailing(sys.stderr))),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *_renderers(style),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)


class _Unfailing:
    """A stream whose failures go no further, as with `logging`: a full disk fails no request."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(text)

    def flush(self) -> None:
        with suppress(OSError, ValueError):
            self._stream.flush()


def _json(line: Any, default: Callable[[Any], Any]) -> str:
    return msgspec.json.encode(line, enc_hook=default).decode()


def _renderers(style: Literal["console", "json"]) -> Sequence[Processor]:
    # Both would write out every local variable by default: slowly, and with the clients' images.
    if style == "json":
        tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        exceptions = structlog.processors.ExceptionRenderer(tracebacks)
        return exceptions, structlog.processors.JSONRenderer(_json)
    plain = structlog.dev.plain_traceback
    return (structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty(), exception_formatter=plain),)
