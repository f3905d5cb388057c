"""How whatever ends a command is told to its user: in one sentence, with an exit status of its own.

0, 1 and 2 are verdicts. A command that could not do what it was asked ends with 3, whether it
refused, the system did, or the program has a defect.
"""

import os
import sys
import traceback
from contextlib import suppress
from pathlib import Path
from typing import Final

import typer

from commands.names import on_one_line

ERROR: Final = 3

_LONGEST: Final = 300


def explain(error: BaseException) -> str:
    """Say in one sentence why a command ended."""
    if isinstance(error, typer.TyperException):
        return _of_the_words(error)
    if isinstance(error, ModuleNotFoundError):
        return _lacking(error.name or "")
    if isinstance(error, BrokenPipeError):
        return "The output was closed before all of it was written."
    if isinstance(error, OSError):
        return _of_the_system(error)
    if isinstance(error, UnicodeEncodeError) and error.encoding != "utf-8":
        return (
            f"A character of the output is none of its encoding, {error.encoding}; UTF-8, which "
            "PYTHONIOENCODING=utf-8 asks for, is accepted."
        )
    if isinstance(error, MemoryError):
        return "There is not enough memory for this."
    from imaging.refusal import RefusedError  # which a list of the commands does without

    return _one_line(error) if isinstance(error, RefusedError) else _defect(error)


def _of_the_words(error: typer.TyperException) -> str:
    """What is wrong with the words of a call, and where those are listed that are right."""
    said, context = error.format_message(), getattr(error, "ctx", None)
    if context is None:
        return said
    end = "" if said.endswith("?") else ";"
    return f"{said.rstrip('.')}{end} `{context.command_path} --help` lists what is accepted."


def _lacking(module: str) -> str:
    from artifact.product import bringing_module

    return f"The package {module.partition('.')[0]} is not installed; {bringing_module(module)}."


def end(status: int, sentence: str | None = None) -> int:
    """Write what is left to be written, and return the status that the command ends with.

    Output that cannot be written, because a disk is full for instance, is an error like others:
    Python itself would end with a status of its own, and a traceback.
    """
    if sentence is not None:
        _say(sentence)
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        _drop_output()
        if sentence is None:
            _say(explain(error))
        return ERROR
    return status


def _say(sentence: str) -> None:
    with suppress(OSError):  # nobody listens
        typer.echo(f"orbitserve: {on_one_line(sentence)}", err=True)


def _of_the_system(error: OSError) -> str:
    reason = error.strerror or _one_line(error) or type(error).__name__
    if error.filename is None:
        return f"The system refuses what this needs: {reason}."
    names = " or ".join(str(name) for name in (error.filename, error.filename2) if name is not None)
    return f"{names} cannot be used: {reason}."


def _defect(error: BaseException) -> str:
    where = traceback.extract_tb(error.__traceback__)[-1:]
    place = "".join(f" in {Path(step.filename).name}, line {step.lineno}" for step in where)
    said = _one_line(error)[:_LONGEST].rstrip(".")
    kind = type(error).__name__ + (f": {said}" if said else "")
    return f"This is a defect of orbitserve, and no verdict ({kind}{place})."


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())


def _drop_output() -> None:
    """Let nobody try again to write what cannot be written."""
    with suppress(OSError, ValueError):  # where it is no file
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, sys.stdout.fileno())
        os.close(null)
