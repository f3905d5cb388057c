"""How much more or less often the candidate does things, with intervals and what is allowed."""

from collections.abc import Iterator, Sequence
from typing import Final

from markupsafe import Markup

from audit.comparison import Paired
from audit.render.comparison.rows import Row
from audit.render.html.page import SIGNS
from audit.render.html.svg import line, path, picture, tag, text
from audit.render.language import Words

_WIDTH: Final = 720.0
_LEFT: Final = 200.0
_END: Final = _WIDTH - 130
_ROW: Final = 34.0
_TOP: Final = 30.0
_AXIS: Final = 44.0
_MOST_MARGINS: Final = 8


def draw_differences(rows: Sequence[Row], margin: float, words: Words) -> Markup:
    """Draw a row for each difference of two parts: its value, its interval, and the margin.

    What lies beyond eight margins is drawn at the edge, with an arrow.
    """
    ends = [abs(end) for _, p in rows for end in (p.interval.low, p.interval.high)]
    reach = min(max([2 * margin, *(1.1 * end for end in ends)]), _MOST_MARGINS * margin)
    below = _TOP + _ROW * len(rows)
    return picture(
        _WIDTH,
        below + _AXIS,
        words(
            "How much more often B does than A, with intervals; the dashed line is what is allowed."
        ),
        *_axis(reach, margin, below, words),
        *(
            shape
            for row, (name, paired) in enumerate(rows)
            for shape in _row(_TOP + _ROW * (row + 0.5), name, paired, reach)
        ),
    )


def _axis(reach: float, margin: float, below: float, words: Words) -> Iterator[Markup]:
    yield line((_LEFT, below), (_END, below), class_="axis")
    for part in (-1.0, -0.5, 0.0, 0.5, 1.0):
        x = _at(part * reach, reach)
        yield line((x, _TOP), (x, below + 5), class_="axis" if part == 0 else "grid")
        yield text(x, below + 20, f"{part * reach:+.2%}", text_anchor="middle", class_="tick")
    said = words("part of all that do with B, less that with A")
    yield text((_LEFT + _END) / 2, below + 38, said, text_anchor="middle", class_="tick")
    x = _at(-margin, reach)
    yield line((x, _TOP - 8), (x, below), class_="mark mark1")
    label = words("allowed: {margin:+.2%}", margin=-margin)
    yield text(x, _TOP - 14, label, text_anchor="middle", class_="tick halo")


def _row(y: float, name: str, paired: Paired, reach: float) -> Iterator[Markup]:
    low, high = paired.interval.low, paired.interval.high
    yield text(_LEFT - 12, y + 4, name, text_anchor="end", class_="tick")
    yield line((_at(low, reach), y), (_at(high, reach), y), class_="mark")
    for end in (low, high):
        x = _at(end, reach)
        if abs(end) <= reach:
            yield line((x, y - 5), (x, y + 5), class_="mark")
        else:
            tip = 7 if end > 0 else -7
            yield tag("path", d=path([(x + tip, y), (x, y - 5), (x, y + 5)]), class_="dot")
    if abs(paired.difference) <= reach:
        yield tag("circle", cx=_at(paired.difference, reach), cy=y, r=4.5, class_="dot")
    verdict = f"{SIGNS[paired.state]} {paired.state}"
    yield text(_END + 14, y + 4, verdict, class_="label")


def _at(value: float, reach: float) -> float:
    part = (min(max(value, -reach), reach) / reach + 1) / 2
    return _LEFT + (_END - _LEFT) * part
