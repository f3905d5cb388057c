"""Log lines: structlog for the service's own, and the same shape for what libraries log."""

import logging
import sys
from collections.abc import Callable, Sequence
from typing import Any, Literal

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
        logger_factory=structlog.WriteLoggerFactory(sys.stderr),
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
