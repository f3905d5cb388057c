"""The front door: the `orbitserve` command."""

import _thread
import io
import os
import signal
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Annotated

import typer

from commands import (
    audit,
    classify,
    compare,
    data,
    evaluate,
    export,
    onnx_import,
    pack,
    prove,
    serve,
    sign,
    train,
    verify,
)
from commands.failures import ERROR, INTERRUPTED, end, explain

_NAME = "orbitserve"
_SECONDS_TO_END = 9.0
"""Less than Docker waits before it kills."""

_MOMENT = 0.02
"""Seconds after which an interrupt comes once more."""

_COMPLETE = "_ORBITSERVE_COMPLETE"
"""What a shell sets when it asks how a line may go on."""

app = typer.Typer(
    help="Serve image classifiers that are rotation-invariant by construction, and audit them.",
    epilog="To begin: `orbitserve serve`, then open http://localhost:8000/ in a browser; or "
    "`orbitserve COMMAND --help`, which has an example of each command.",
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"max_content_width": 100, "help_option_names": ["-h", "--help"]},
)
app.command("data")(data.data)
app.command("train")(train.train)
app.command("export")(export.export)
app.command("import")(onnx_import.import_model)
app.command("serve", cls=serve.ServeCommand)(serve.serve)
app.command("classify")(classify.classify)
app.command("audit", cls=audit.AuditCommand)(audit.audit)
app.command("evaluate")(evaluate.evaluate)
app.command("compare", cls=compare.CompareCommand)(compare.compare)
app.command("prove")(prove.prove)
app.command("pack")(pack.pack)
app.command("sign")(sign.sign)
app.command("verify")(verify.verify)


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
        self.status = INTERRUPTED
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
            if self.status != INTERRUPTED:
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
    out = sys.stdout
    if isinstance(out, io.TextIOWrapper) and out.encoding.lower() == "utf-8":
        out.reconfigure(errors="backslashreplace")


def _show_version(asked: bool) -> None:
    if asked:
        from artifact.product import product_version

        typer.echo(f"{_NAME} {product_version()}")
        raise typer.Exit


@app.callback(invoke_without_command=True)
def _front(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version."),
    ] = False,
) -> None:
    if context.invoked_subcommand is None:
        typer.echo(context.get_help())


def main() -> None:
    """Run the command; whatever ends it before its end is a sentence and exit status 3.

    Typer's own statuses are left out: 2 for a wrong option says INCONCLUSIVE here, and 1 for an
    output that is closed says FAIL.
    """
    _take_streams()
    ending = _Ending()
    try:
        with ending:
            status = _run()
        status = end(status)
    except KeyboardInterrupt as interrupt:
        status = end(ending.status, str(interrupt) or None)
    except Exception as error:
        status = end(ERROR, explain(error))
    _leave(status)


def _leave(status: int) -> None:
    """End, also while a thread of the service is inside of a library: that would end by SIGABRT."""
    unawaited = sys.modules.get("service.unawaited")
    if unawaited is not None and unawaited.are_left():
        sys.stderr.flush()
        os._exit(status)
    sys.exit(status)


def _run() -> int:
    command = typer.main.get_command(app)
    if os.environ.get(_COMPLETE):
        command.main(prog_name=_NAME)
    _check_words(sys.argv[1:])
    try:
        with command.make_context(_NAME, sys.argv[1:]) as context:
            command.invoke(context)
    except typer.Exit as ended:
        return ended.exit_code
    return 0


def _check_words(words: list[str]) -> None:
    """Refuse an empty word: as a path it is the folder one is in, as `--ledger` it is none."""
    for before, word in zip(["", *words], words, strict=False):
        option = before if before.startswith("--") else word.removesuffix("=")
        if word == "" or (word.startswith("--") and word.endswith("=")):
            from imaging.refusal import RefusedError

            of = f"The value of {option}" if option.strip("-") else "A word of this call"
            raise RefusedError(
                f"{of} is empty, as where a variable of the shell is not set; what is to be left "
                "out is left out with its name."
            )


if __name__ == "__main__":
    main()
