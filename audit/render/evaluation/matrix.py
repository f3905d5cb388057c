"""The confusion of classes as a picture: cells are drawn, names are text of the page."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from markupsafe import Markup

from audit.evaluation import Evaluation
from audit.render.html.svg import line, picture, tag, text

MOST_CLASSES: Final = 50
_LARGE: Final = 44.0
_SMALL: Final = 20.0
_FEW: Final = 12
_FAINTEST: Final = 0.12
_LIGHT_FROM: Final = 0.55


@dataclass(frozen=True)
class Matrix:
    """Which classes are shown, and how large.

    Attributes
    ----------
    labels
        Class indices, of rows and of columns.
    names
        What they are called.
    cell
        The side of a cell, in pixels where there is room.
    left_out
        Classes that are not shown: no more of their images are wrong than of any that is.
    """

    labels: tuple[int, ...]
    names: tuple[str, ...]
    cell: float
    left_out: int
    svg: Markup


def confusion_matrix(evaluation: Evaluation) -> Matrix:
    """Draw how many images of each class (rows) get which label (columns).

    The more of its row a cell has, the darker it is, with the number in the cell; right answers,
    on the diagonal, have another colour than wrong ones.
    """
    labels = _most_confused(evaluation)
    counts = {(c.expected, c.answered): c.images for c in evaluation.figures.confusion}
    shown = {each.label: each.shown for each in evaluation.figures.classes}
    name = evaluation.model.class_name
    digits = len(str(max(counts.values())))
    few = len(labels) <= _FEW
    font = 12.0 if few else 9.0
    cell = max(_LARGE if few else _SMALL, 0.62 * font * digits + 4)
    side = cell * len(labels)
    svg = picture(
        side,
        side,
        "Images by the class that they show, in rows, and the label that they got, in columns.",
        *_grid(len(labels), cell),
        *_cells(labels, counts, shown, name=[name(k) for k in labels], cell=cell, font=font),
    )
    left_out = len(evaluation.figures.classes) - len(labels)
    return Matrix(labels, tuple(name(k) for k in labels), cell, left_out, svg)


def _most_confused(evaluation: Evaluation) -> tuple[int, ...]:
    """Some classes of many: those with most wrong images, as what they show or were called."""
    wrong = {
        each.label: each.shown + each.answered - 2 * each.right
        for each in evaluation.figures.classes
    }
    most = sorted(wrong, key=lambda label: (-wrong[label], label))[:MOST_CLASSES]
    return tuple(sorted(most))


def _grid(count: int, cell: float) -> Iterator[Markup]:
    for place in range(count + 1):
        yield line((place * cell, 0), (place * cell, count * cell), class_="grid")
        yield line((0, place * cell), (count * cell, place * cell), class_="grid")


def _cells(
    labels: Sequence[int],
    counts: Mapping[tuple[int, int], int],
    shown: Mapping[int, int],
    *,
    name: Sequence[str],
    cell: float,
    font: float,
) -> Iterator[Markup]:
    for row, expected in enumerate(labels):
        for column, answered in enumerate(labels):
            images = counts.get((expected, answered), 0)
            if images:
                shade = _FAINTEST + (1 - _FAINTEST) * images / shown[expected]
                yield tag(
                    "g",
                    tag("title", f"{name[row]} labelled {name[column]}: {images}"),
                    tag(
                        "rect",
                        x=column * cell + 0.5,
                        y=row * cell + 0.5,
                        width=cell - 1,
                        height=cell - 1,
                        class_="right" if row == column else "wrong",
                        fill_opacity=shade,
                    ),
                    text(
                        (column + 0.5) * cell,
                        (row + 0.5) * cell + 0.36 * font,
                        str(images),
                        text_anchor="middle",
                        class_="count light" if shade > _LIGHT_FROM else "count",
                        style=f"font-size: {font:g}px",
                    ),
                )
