"""Answers of a run that is not over, in a file beside the one that it is to become."""

import fcntl
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final, Self

import msgspec

from commands.classify import parquet, table
from commands.classify.answer import Answer, Model, Shape
from commands.classify.formats import WRITERS, Format, json_line
from imaging import RefusedError
from imaging.writing import written_aside

_FLAGS: Final = os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_NONBLOCK | os.O_CLOEXEC
_DECODER: Final = msgspec.json.Decoder(Answer)
_MARK: Final = b'{"file":"'
"""What every line begins with."""


class Partial:
    """`<output>.partial`: a JSON line for each answer, whatever format the output is to have.

    So what was there before stays until all answers are, and a run that is ended in any way goes
    on. What follows the last whole line, as after a power failure, is cut off.

    Parameters
    ----------
    output, output_format
        What it becomes.
    model, classes, shape
        Whose answers, and of what shape: others are not mixed with them.
    resume
        Go on with a file of this kind, or with the output of a run that was not interrupted.

    Raises
    ------
    RefusedError
        If a file cannot be written, another run writes it, there is one that is not to be gone on
        with, or it holds other answers.
    """

    def __init__(
        self,
        output: Path,
        output_format: Format,
        model: Model,
        classes: tuple[str, ...],
        shape: Shape,
        *,
        resume: bool,
    ) -> None:
        self.output, self.path = output, output.with_name(f"{output.name}.partial")
        self._format, self._model, self._classes = output_format, model, classes
        self._shape = shape
        self.done: Counter[str] = Counter()
        self.refused, self._held = 0, False
        try:
            self._file = os.open(self.path, _FLAGS, 0o644)
        except OSError as error:
            raise self._refusal(error) from error
        try:
            self._begin(resume)
        except BaseException:
            self._close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._close()

    def write(self, answers: Iterable[Answer]) -> None:
        """Add answers.

        Raises
        ------
        RefusedError
            If they cannot be written. Those before are kept.
        """
        some = list(answers)
        left = memoryview(b"".join(map(json_line, some)))
        try:
            while left:
                left = left[os.write(self._file, left) :]
        except OSError as error:
            raise self._refusal(error) from error
        self._count(some)

    def finish(self) -> None:
        """Put the output in its place, and remove this file.

        Raises
        ------
        RefusedError
            If the output cannot be written; what this file holds is kept.
        """
        try:
            with written_aside(self.output) as file:
                WRITERS[self._format](self._answers(), self._shape, file)
        except OSError as error:
            raise self._refusal(error, self.output) from error
        self.path.unlink()

    def _begin(self, resume: bool) -> None:
        if not stat.S_ISREG(os.fstat(self._file).st_mode):
            raise RefusedError(f"The file {self.path} is no regular one; one is accepted.")
        self._lock()
        begun = os.fstat(self._file).st_size > 0
        if begun and not resume:
            raise RefusedError(
                f"The file {self.path} holds what an interrupted run has finished; --resume goes "
                "on from there, and without that file all is classified anew."
            )
        if begun:
            self._cut_off()
            for answer in self._checked(self._answers(), self.path, "jsonl"):
                self._count([answer])
        elif resume and self.output.exists() and self.output.stat().st_size:
            self._take_over()

    def _lock(self) -> None:
        """Keep other runs from the file, and make sure that it is still the one of its name."""
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._held = os.path.samestat(os.fstat(self._file), self.path.stat())
        except (BlockingIOError, FileNotFoundError):
            self._held = False
        except OSError as error:
            raise RefusedError(
                f"The file {self.path} cannot be locked: {error.strerror}; one on a disk that has "
                "locks is accepted."
            ) from error
        if not self._held:
            raise RefusedError(
                f"The file {self.path} is written by another run; one at a time is accepted."
            )

    def _take_over(self) -> None:
        """Copy the answers of an output that is whole, all of them at once, to add others."""
        read = _READERS.get(self._format)
        if read is None:
            raise RefusedError(
                f"The file {self.output} does not say which model its lines are of; --resume goes "
                f"on with a run that was interrupted, or with a file of {', '.join(_READERS)}."
            )
        with self.output.open("rb") as file, written_aside(self.path) as copy:
            answers = read(file, self._shape, self._classes)
            for answer in self._checked(answers, self.output, self._format):
                copy.write(json_line(answer))
                self._count([answer])
        empty, self._file = self._file, os.open(self.path, _FLAGS)
        os.close(empty)
        self._lock()

    def _cut_off(self) -> None:
        """Cut off the last line if it is not whole; refuse a file that nobody here has begun."""
        if not _MARK.startswith(os.pread(self._file, len(_MARK), 0)):
            raise RefusedError(
                f"The file {self.path} is none that this command has begun; another --output is "
                "accepted."
            )
        start, last = 0, b""
        with self.path.open("rb") as file:
            for line in file:
                start, last = start + len(last), line
        try:
            _DECODER.decode(last)
            whole = last.endswith(b"\n")
        except (msgspec.MsgspecError, ValueError):
            whole = False
        if not whole:
            os.truncate(self._file, start)

    def _answers(self) -> Iterator[Answer]:
        with self.path.open("rb") as file:
            yield from _read_lines(file, self._shape, self._classes)

    def _checked(self, answers: Iterator[Answer], path: Path, kind: str) -> Iterator[Answer]:
        """Yield answers of this model and with as many classes; refuse others."""
        try:
            for answer in answers:
                self._check(answer, path)
                yield answer
        except (msgspec.MsgspecError, ValueError) as error:
            if isinstance(error, RefusedError):
                raise
            raise RefusedError(
                f"The file {path} is no {kind} that this command has written with these options "
                f"({error}); another --output is accepted."
            ) from error

    def _check(self, answer: Answer, path: Path) -> None:
        if answer.model != self._model:
            raise RefusedError(
                f"The file {path} holds answers of {answer.model}, and {self._model} is asked now; "
                "another --output is accepted."
            )
        ranks = self._shape.ranks
        if answer.error is None and len(answer.top) != ranks:
            raise RefusedError(
                f"The file {path} has {len(answer.top)} classes for each image, and {ranks} are "
                "asked for now; the same --top-k is accepted."
            )

    def _count(self, answers: Iterable[Answer]) -> None:
        for answer in answers:
            self.done[answer.file] += 1
            self.refused += answer.error is not None

    def _refusal(self, error: OSError, path: Path | None = None) -> RefusedError:
        return RefusedError(f"The file {path or self.path} cannot be written: {error.strerror}.")

    def _close(self) -> None:
        """Let go of the file, and leave none that is empty, but for that of another run."""
        with suppress(OSError):
            if self._held and os.fstat(self._file).st_size == 0:
                self.path.unlink(missing_ok=True)
        os.close(self._file)


def _read_lines(file: BinaryIO, shape: Shape, classes: tuple[str, ...]) -> Iterator[Answer]:
    for line in file:
        if line.endswith(b"\n"):
            yield _DECODER.decode(line)
        elif not _MARK.startswith(line[: len(_MARK)]):
            raise ValueError("its last line is another")


_READERS: Final[dict[Format, Callable[[BinaryIO, Shape, tuple[str, ...]], Iterator[Answer]]]] = {
    "csv": table.read,
    "jsonl": _read_lines,
    "parquet": parquet.read,
}
