"""Answers as columns: what they are called, CSV of them, and answers from a row of either kind."""

import csv
import io
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, BinaryIO, Final

from commands.classify.answer import (
    Answer,
    Model,
    Ranked,
    Shape,
    ranked,
)
from commands.names import from_one_line, on_one_line
from imaging.tables import cell

_RANK: Final = ("label", "index", "probability")
_SEVERAL: Final = ("labels", "indices", "probabilities")


def columns(shape: Shape) -> list[str]:
    """Name the columns: label, index, probability, label_2, ... of as many classes as are named.

    Of a model of several labels those that an image gets stand before, in a cell each.
    """
    named = [
        name if rank == 1 else f"{name}_{rank}"
        for rank in range(1, shape.ranks + 1)
        for name in _RANK
    ]
    return ["file", *(_SEVERAL if shape.multi_label else ()), *named, "error", "model"]


def row(answer: Answer, shape: Shape) -> list[Any]:
    """Return an answer's values in `columns`; None where there is none."""
    cells: list[Any] = [
        value for each in answer.top for value in (each.label, each.index, each.probability)
    ]
    cells += [None] * (len(_RANK) * shape.ranks - len(cells))
    if shape.multi_label:
        cells = [*_given(answer.labels), *cells]
    return [answer.file, *cells, answer.error, str(answer.model)]


def _given(labels: Sequence[Ranked] | None) -> list[str | None]:
    """Return what an image gets, in a text each of labels, indices and probabilities."""
    if labels is None:
        return [None] * len(_SEVERAL)
    names = (each.label.replace(";", r"\;") for each in labels)
    numbers = (str(each.index) for each in labels), (str(each.probability) for each in labels)
    return [";".join(texts) for texts in (names, *numbers)]


def answer_of(values: Mapping[str, Any], shape: Shape, classes: Sequence[str]) -> Answer:
    """Return the answer of a row; KeyError, ValueError or IndexError if it is none."""
    model = Model.parse(values["model"])
    if values["error"]:
        return Answer(values["file"], error=values["error"], model=model)
    names = columns(Shape(shape.ranks))[1:-2]
    top = tuple(
        Ranked(classes[int(values[index])], int(values[index]), float(values[probability]))
        for index, probability in zip(names[1::3], names[2::3], strict=True)
    )
    if not shape.multi_label:
        return ranked(values["file"], top, model)
    indices, chances = (list(filter(None, values[name].split(";"))) for name in _SEVERAL[1:])
    pairs = zip(map(int, indices), map(float, chances), strict=True)
    labels = tuple(Ranked(classes[index], index, chance) for index, chance in pairs)
    return ranked(values["file"], top, model, labels)


def head(shape: Shape) -> bytes:
    """Return the first line of the CSV."""
    return _line(columns(shape))


def line(answer: Answer, shape: Shape) -> bytes:
    """Write RFC 4180's CSV of an answer, every text quoted and on one line.

    What `cell` does to texts keeps spreadsheets from running them.
    """
    return _line([_safe(value) for value in row(answer, shape)])


def read(file: BinaryIO, shape: Shape, classes: Sequence[str]) -> Iterator[Answer]:
    """Yield the answers of such a file; what follows its last whole line is none.

    Raises
    ------
    ValueError
        If it is another kind of file.
    """
    reader = csv.reader(_whole_lines(file), strict=True)
    try:
        if next(reader, None) != columns(shape):
            raise ValueError("its columns are others")
        for cells in reader:
            values = dict(zip(columns(shape), cells, strict=True))
            values["file"] = from_one_line(_bare(values["file"]))
            values["error"] = _bare(values["error"])
            yield answer_of(values, shape, classes)
    except (csv.Error, KeyError, IndexError) as error:
        raise ValueError(str(error)) from error


def _whole_lines(file: BinaryIO) -> Iterator[str]:
    for each in file:
        if each.endswith(b"\r\n"):
            yield each.decode()
        elif each.endswith(b"\n"):
            raise ValueError("a line ends as its others do not")


def _safe(value: Any) -> Any:
    return cell(on_one_line(value)) if isinstance(value, str) else value


def _bare(text: str) -> str:
    return text.removeprefix("'")


def _line(cells: Sequence[Any]) -> bytes:
    file = io.StringIO(newline="")
    csv.writer(file, quoting=csv.QUOTE_NONNUMERIC, lineterminator="\r\n").writerow(cells)
    return file.getvalue().encode()
