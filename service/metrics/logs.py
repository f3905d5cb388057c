"""Log lines: structlog for the service's own, and the same shape for what libraries log."""

import io
import logging
import re
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from typing import Any, Final, Literal, TextIO, cast

import msgspec
import structlog
from structlog.typing import EventDict, ExcInfo, Processor


def configure_logs(
    style: Literal["console", "json"], level: str, worker: int | None = None
) -> None:
    """Send everything that is logged in this process to stderr, in one format.

    Every line carries the number of the worker, where there are several.

    The service's own lines are written without the standard library in between, which would take
    most of the time that the line of a request takes.
    """
    shared: Sequence[Processor] = (
        structlog.contextvars.merge_contextvars,
        *([] if worker is None else [partial(_add_worker, number=worker)]),
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    )
    own = renderers(style)
    structlog.configure(
        processors=[*shared, *own],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=Output(_Unfailing(sys.stderr), own[-1], worker),
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                *renderers(style),
            ],
        )
    )
    logging.basicConfig(handlers=[handler], level=level.upper(), force=True)


def _add_worker(logger: Any, name: str, line: EventDict, *, number: int) -> EventDict:
    line["worker"] = number
    return line


class Output(structlog.WriteLoggerFactory):
    """Where the lines of structlog go, and what its processors do, for who does without them.

    Attributes
    ----------
    renderer
        The last of them, which makes a text of a line.
    worker
        What every line carries.
    """

    def __init__(self, stream: "_Unfailing", renderer: Processor, worker: int | None) -> None:
        super().__init__(cast(TextIO, stream))
        self._stream = stream
        self.renderer, self.worker = renderer, worker

    def write_lines(self, lines: Sequence[str]) -> None:
        """Write lines as its loggers do, all at once."""
        self._stream.write_now("\n".join(lines) + "\n")


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

    def write_now(self, text: str) -> None:
        with suppress(OSError, ValueError):
            self._stream.write(text)
            self._stream.flush()


def _json(line: Any, default: Callable[[Any], Any]) -> str:
    return msgspec.json.encode(line, enc_hook=default).decode()


def renderers(style: Literal["console", "json"]) -> Sequence[Processor]:
    """Return what makes one text of a line, for people or as JSON."""
    # Both would write out every local variable by default: slowly, and with the clients' images.
    if style == "json":
        tracebacks = structlog.tracebacks.ExceptionDictTransformer(show_locals=False)
        exceptions = structlog.processors.ExceptionRenderer(tracebacks)
        return exceptions, structlog.processors.JSONRenderer(_json)
    colours = sys.stderr.isatty()
    console = structlog.dev.ConsoleRenderer(colors=colours, exception_formatter=_traceback)
    return (_escape_values, console) if colours else (PlainRenderer(console),)


def escape(text: str, kept: str = "") -> str:
    r"""Write out, as `\x1b`, what a terminal would obey or a reader would take for a new line.

    Clients choose what some values hold, such as paths.
    """
    if text.isprintable():
        return text
    return "".join(
        each if each.isprintable() or each in kept else each.encode("unicode_escape").decode()
        for each in text
    )


def _escape_values(logger: Any, name: str, line: EventDict) -> EventDict:
    for key, value in line.items():
        if type(value) is str and not value.isprintable() and key not in _TRACES:
            line[key] = escape(value)
    return line


def _traceback(stream: TextIO, exception: ExcInfo) -> None:
    text = io.StringIO()
    structlog.dev.plain_traceback(text, exception)
    stream.write(escape(text.getvalue(), kept="\n\t"))


_TRACES: Final = frozenset({"exc_info", "exception", "stack", "stack_info"})
_HEAD: Final = frozenset({"timestamp", "level", "event"})
_QUOTED: Final = re.compile("[ =\"']")
_BARE: Final = re.compile("[!#-&(-<>-~]*").fullmatch
"""Most strings: what stands as it is."""


class PlainRenderer:
    """Writes a line as `ConsoleRenderer` does without colours, in a fifth of the time."""

    def __init__(self, console: structlog.dev.ConsoleRenderer) -> None:
        self._console = console

    def __call__(self, logger: Any, name: str, line: EventDict) -> str:
        """Make the text of a line."""
        if not (line.keys() >= _HEAD and line.keys().isdisjoint(_TRACES)):
            return self._console(logger, name, _escape_values(logger, name, line))
        event = escape(line.pop("event"))
        found = [f"{line.pop('timestamp')} [{line.pop('level'):<9}] {event:<30}"]
        found += [f"{key}={plain_value(line[key])}" for key in sorted(line)]
        return " ".join(found).rstrip()


def plain_value(value: Any) -> Any:
    """Return a value of a line as it is written: with escapes and quotes where it needs them."""
    if type(value) is not str or _BARE(value):
        return value
    value = escape(value)
    return repr(value) if _QUOTED.search(value) else value
