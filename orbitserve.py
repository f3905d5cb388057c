"""The front door: the `orbitserve` command.

What it needs itself is little, so that whoever interrupts it while the rest is imported gets no
traceback.
"""

import _thread
import io
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

_INTERRUPTED = 130
"""As shells have it: 128 and the number of SIGINT."""

_SECONDS_TO_END = 9.0
"""Less than Docker waits before it kills."""

_MOMENT = 0.02
"""Seconds after which an interrupt comes once more."""


class _Interrupt(KeyboardInterrupt):
    """One that tells when it is let go of, whoever caught it."""

    def __init__(self, let_go: Callable[[], None]) -> None:
        super().__init__()
        self._let_go = let_go

    def __del__(self) -> None:
        self._let_go()


class _Ending:
    """What Ctrl-C, SIGTERM and SIGHUP do to a command.

    It lets go of what it has begun, puts the terminal right and says how to go on. After one of the
    last two it ends all the same where it does not, as where libraries compute for long, and a
    second one of them ends it at once. An import comes to its end first: modules in C drop an
    interrupt, make another error of it, or abort. One that is dropped elsewhere, as in a callback
    of the garbage collector, comes once more. Process 1 has to ask for signals in any case: the
    kernel keeps from it what nobody asks for.

    Attributes
    ----------
    status
        That the command ends with after an interrupt.
    """

    def __init__(self) -> None:
        self.status = _INTERRUPTED
        self._over = False
        self._once_more = False

    def __enter__(self) -> None:
        """Ask for those that are not ignored, as nohup has it."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) in (signal.SIG_DFL, signal.default_int_handler):
                signal.signal(number, self._asked)
        sys.unraisablehook = _tell_unless_interrupted

    def __exit__(self, *_: object) -> None:
        """The command is over: an interrupt that is let go of from here on has arrived."""
        self._over = True

    def _asked(self, number: int, frame: FrameType | None) -> None:
        if number != signal.SIGINT and not self._once_more:
            if self.status != _INTERRUPTED:
                os._exit(128 + number)
            self.status = 128 + number
            # One of `threading` could wait for a lock that is held right here.
            _thread.start_new_thread(self._end_in_any_case, ())
        self._once_more = False
        if _imports(frame):
            self._later()
        else:
            raise _Interrupt(self._later)

    def _later(self) -> None:
        if not self._over:
            _thread.start_new_thread(self._interrupt_once_more, ())

    def _interrupt_once_more(self) -> None:
        time.sleep(_MOMENT)
        if not self._over:
            self._once_more = True
            os.kill(os.getpid(), self.status - 128)  # SIGINT is 2, and its status 130

    def _end_in_any_case(self) -> None:
        time.sleep(_SECONDS_TO_END)
        os._exit(self.status)


def _imports(frame: FrameType | None) -> bool:
    while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is not None


def _tell_unless_interrupted(unraisable: "sys.UnraisableHookArgs") -> None:
    if not issubclass(unraisable.exc_type, KeyboardInterrupt):
        sys.__unraisablehook__(unraisable)


class _Output(io.FileIO):
    """Standard output, of which the system's refusals name no file, as where a disk is full."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            error.filename = "The standard output"
            raise


class _Telling(io.FileIO):
    """Standard error, which ends no work where nobody listens, or a disk is full."""

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError:
            return len(data)


def _take_streams() -> None:
    """Make of the standard streams what can be written to, whatever they and the words are.

    Where one was closed, the next file that is opened would be taken for it by libraries that write
    their warnings there. A name that is no UTF-8 is printed with escapes.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # the lowest number is free
    if sys.stderr is None:  # which bars, lines and logs are written to
        sys.stderr = os.fdopen(2, "w", closefd=False)
    sys.stdout, sys.stderr = _above(_Output, sys.stdout), _above(_Telling, sys.stderr)
    out = sys.stdout
    if isinstance(out, io.TextIOWrapper) and out.encoding.lower() == "utf-8":
        out.reconfigure(errors="backslashreplace")


def _above(kind: type[io.FileIO], stream: Any) -> Any:
    """Make a stream like this one on another kind of file, unless it is a test's, or none."""
    if type(stream) is not io.TextIOWrapper:
        return stream
    raw = kind(stream.fileno(), "w", closefd=False)
    return io.TextIOWrapper(
        raw if isinstance(stream.buffer, io.RawIOBase) else io.BufferedWriter(raw),
        encoding=stream.encoding,
        errors=stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )


def main() -> None:
    """Run the command; whatever ends it before its end is a sentence and exit status 3.

    Typer's own statuses are left out: 2 for a wrong option says INCONCLUSIVE here, and 1 for an
    output that is closed says FAIL.
    """
    _take_streams()
    ending = _Ending()
    try:
        with ending:
            # What says how it ended: in the end it might wait for an import of another thread.
            import commands.failures  # noqa: F401

            status = _run()
        status = _end(status)
    except KeyboardInterrupt as interrupt:
        status = _end(ending.status, str(interrupt) or None)
    except Exception as error:
        from commands.failures import ERROR, explain

        status = _end(ERROR, explain(error))
    _leave(status)


def _run() -> int:
    from commands.app import run

    return run(sys.argv[1:])


def _end(status: int, sentence: str | None = None) -> int:
    from commands.failures import end

    return end(status, sentence)


def _leave(status: int) -> None:
    """End, also while a thread of the service is inside of a library: that would end by SIGABRT."""
    unawaited = sys.modules.get("service.unawaited")
    if unawaited is not None and unawaited.are_left():
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


if __name__ == "__main__":
    main()
