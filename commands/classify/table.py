"""Answers as columns: what they are called, CSV of them, and answers from a row of either kind."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Final

from audit.render.evaluation.table import cell
from commands.classify.answer import (
    Answer,
    Model,
    Ranked,
    ranked,
)
from commands.names import from_one_line, on_one_line

_RANK: Final = ("label", "index", "probability")


def columns(ranks: int) -> list[str]:
    """Name the columns of answers of so many classes: label, index, probability, label_2, ..."""
    named = [
        name if rank == 1 else f"{name}_{rank}" for rank in range(1, ranks + 1) for name in _RANK
    ]
    return ["file", *named, "error", "model"]


def row(answer: Answer, ranks: int) -> list[Any]:
    """Return an answer's values in `columns`; None where there is none."""
    cells: list[Any] = [
        value for each in answer.top for value in (each.label, each.index, each.probability)
    ]
    cells += [None] * (len(_RANK) * ranks - len(cells))
    return [answer.file, *cells, answer.error, str(answer.model)]


def answer_of(values: Mapping[str, Any], ranks: int, classes: Sequence[str]) -> Answer:
    """Return the answer of a row; KeyError, ValueError or IndexError if it is none."""
    model = Model.parse(values["model"])
    if values["error"]:
        return Answer(values["file"], error=values["error"], model=model)
    names = columns(ranks)[1:-2]
    top = tuple(
        Ranked(classes[int(values[index])], int(values[index]), float(values[probability]))
        for index, probability in zip(names[1::3], names[2::3], strict=True)
    )
    return ranked(values["file"], top, model)


def head(ranks: int) -> bytes:
    """Return the first line of the CSV."""
    return _line(columns(ranks))


def line(answer: Answer, ranks: int) -> bytes:
    """Write RFC 4180's CSV of an answer, every text quoted and on one line.

    What `cell` does to texts keeps spreadsheets from running them.
    """
    return _line([_safe(value) for value in row(answer, ranks)])


def read(file: BinaryIO, ranks: int, classes: Sequence[str]) -> Iterator[Answer]:
    """Yield the answers of such a file; what follows its last whole line is none.

    Raises
    ------
    ValueError
        If it is another kind of file.
    """
    lines = (each.decode() for each in file if each.endswith(b"\r\n"))
    reader = csv.reader(lines, strict=True)
    try:
        if next(reader, None) != columns(ranks):
            raise ValueError("its columns are others")
        for cells in reader:
            values = dict(zip(columns(ranks), cells, strict=True))
            values["file"] = from_one_line(_bare(values["file"]))
            values["error"] = _bare(values["error"])
            yield answer_of(values, ranks, classes)
    except (csv.Error, KeyError, IndexError) as error:
        raise ValueError(str(error)) from error


def _safe(value: Any) -> Any:
    return cell(on_one_line(value)) if isinstance(value, str) else value


def _bare(text: str) -> str:
    return text.removeprefix("'")


def _line(cells: Sequence[Any]) -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n").writerow(cells)
    return file.getvalue().encode()
