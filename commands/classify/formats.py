"""The formats of answers: lines for people and for programs, and Parquet for tables."""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final, Literal

import msgspec

from commands.classify import parquet, table
from commands.classify.answer import Answer, Ranked, Shape
from commands.names import on_one_line
from imaging import RefusedError

Format = Literal["text", "csv", "jsonl", "parquet"]

_ENDINGS: Final[dict[str, Format]] = {
    ".txt": "text",
    ".csv": "csv",
    ".jsonl": "jsonl",
    ".parquet": "parquet",
}
_AMBIGUOUS: Final = re.compile(r'^$|^\s|\s$|\s\s|"')
_ENCODER: Final = msgspec.json.Encoder()


@dataclass(frozen=True)
class Lines:
    """A format of a line an answer.

    Attributes
    ----------
    head
        What stands above them.
    line
        An answer with its line's end.
    """

    head: Callable[[Shape], bytes]
    line: Callable[[Answer, Shape], bytes]

    def write(self, answers: Iterable[Answer], shape: Shape, file: BinaryIO) -> None:
        """Write a file of them."""
        file.write(self.head(shape))
        for answer in answers:
            file.write(self.line(answer, shape))


def format_of(asked: Format | None, output: Path | None) -> Format:
    """Say in which format answers are written: as asked, or as the file's name ends, or as text.

    Raises
    ------
    RefusedError
        If the name tells none, or Parquet is to be printed.
    """
    if output is None:
        if asked == "parquet":
            raise RefusedError("Parquet is a format of files; --output names one.")
        return asked or "text"
    if asked is not None:
        return asked
    if (ending := output.suffix.lower()) in _ENDINGS:
        return _ENDINGS[ending]
    raise RefusedError(
        f"The name {output} tells no format; --format, or one of {', '.join(_ENDINGS)}, is "
        "accepted."
    )


def text_line(answer: Answer, shape: Shape) -> bytes:
    """Probability and label of each class, or `error` and the reason, then the file.

    Of a model of several labels those that the image gets, or `none`.
    """
    if answer.error is not None:
        cells = ["error", answer.error]
    else:
        cells = _pairs(answer.top if answer.labels is None else answer.labels) or ["none"]
    return ("  ".join(map(_quoted, (*cells, answer.file))) + "\n").encode()


def _pairs(classes: Iterable[Ranked]) -> list[str]:
    return [text for each in classes for text in (f"{each.probability:.4f}", each.label)]


def _quoted(text: str) -> str:
    """A cell: in quotes where it could be taken for several, or for none."""
    text = on_one_line(text)
    return '"' + text.replace('"', '\\"') + '"' if _AMBIGUOUS.search(text) else text


def json_line(answer: Answer, shape: Shape | None = None) -> bytes:
    """Write an answer as JSON, on one line to every reader."""
    return on_one_line(_ENCODER.encode(answer).decode()).encode() + b"\n"


LINES: Final[dict[Format, Lines]] = {
    "text": Lines(lambda shape: b"", text_line),
    "csv": Lines(table.head, table.line),
    "jsonl": Lines(lambda shape: b"", json_line),
}

Write = Callable[[Iterable[Answer], Shape, BinaryIO], None]
WRITERS: Final[dict[Format, Write]] = {
    **{name: lines.write for name, lines in LINES.items()},
    "parquet": parquet.write,
}
