"""Classes by angle: how many images of each lose their label where."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil
from typing import Final

from markupsafe import Markup

from audit.angles.outcome import AngleFigures, ClassCurve
from audit.phrases import Naming, label
from audit.render.html.svg import picture, tag, text
from audit.render.language import Words, words_of

_COLUMNS: Final = 36
_ROWS: Final = 20
_CELL: Final = (22.0, 22.0)
_LEFT: Final = 140.0
_ENGLISH: Final = words_of("en")
_TOP: Final = 26.0


@dataclass(frozen=True)
class ClassTable:
    """Images that lose their label: one row a class, one column for one angle or some.

    Attributes
    ----------
    columns
        Where each column begins, in degrees.
    angles
        The angles of a column; a cell is the worst of them.
    rows
        A label, its images, and the cells.
    left_out
        Classes that are not shown: they lose less than any that is.
    """

    columns: tuple[float, ...]
    angles: int
    rows: tuple[tuple[int, int, tuple[int, ...]], ...]
    left_out: int


def class_table(figures: AngleFigures) -> ClassTable:
    """Gather angles until they fit into columns, and the classes that lose most into rows."""
    angles = ceil(len(figures.curve) / _COLUMNS)
    most = sorted(figures.class_curves, key=lambda curve: min(curve.agreeing) - curve.images)
    shown = sorted(most[:_ROWS], key=lambda curve: curve.label)
    return ClassTable(
        columns=tuple(point.degrees for point in figures.curve[::angles]),
        angles=angles,
        rows=tuple((curve.label, curve.images, _lost(curve, angles)) for curve in shown),
        left_out=len(most) - len(shown),
    )


def draw_classes(table: ClassTable, name: Naming = label, words: Words = _ENGLISH) -> Markup:
    """Draw the table: the more of a class is lost, the darker, with the number in the cell.

    `name` says what a class is called.
    """
    width, height = _CELL
    return picture(
        _LEFT + width * len(table.columns) + 8,
        _TOP + height * len(table.rows) + 8,
        words("Images of each class that lose their label, by angle") + ".",
        *_head(table.columns),
        *(
            shape
            for row, (index, images, lost) in enumerate(table.rows)
            for shape in _row(_TOP + row * height, f"{name(index)} ({images})", images, lost)
        ),
    )


def _head(columns: Sequence[float]) -> Iterator[Markup]:
    for column in range(0, len(columns), 3):
        x = _LEFT + (column + 0.5) * _CELL[0]
        yield text(x, 16, f"{columns[column]:.4g}°", text_anchor="middle", class_="tick")


def _row(y: float, title: str, images: int, lost: Sequence[int]) -> Iterator[Markup]:
    width, height = _CELL
    middle = y + height / 2 + 4
    yield text(_LEFT - 8, middle, title, text_anchor="end", class_="tick")
    for column, count in enumerate(lost):
        x = _LEFT + column * width
        part = count / images
        yield tag(
            "rect",
            x=x + 1,
            y=y + 1,
            width=width - 2,
            height=height - 2,
            class_="cell",
            fill_opacity=min(1.0, 0.25 + part) if count else 0,
        )
        if count:
            shade = "light" if part > 0.3 else "dark"
            yield text(
                x + width / 2, middle, str(count), text_anchor="middle", class_=f"count {shade}"
            )


def _lost(curve: ClassCurve, angles: int) -> tuple[int, ...]:
    groups = range(0, len(curve.agreeing), angles)
    return tuple(curve.images - min(curve.agreeing[i : i + angles]) for i in groups)
