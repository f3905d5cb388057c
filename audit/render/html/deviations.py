"""How far logits move, image by image, on a logarithmic axis."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Final, Self

from markupsafe import Markup

from audit.render.html.svg import line, picture, tag, text
from audit.render.language import Words, words_of
from audit.statistics import DeviationDistribution

_WIDTH: Final = 660.0
_LEFT: Final = 20.0
_UNMOVED: Final = 34.0
_START: Final = 84.0
_END: Final = _WIDTH - 20
_BAR: Final = 84.0
_ROW: Final = 126.0
_MARK: Final = 16.0
_AXIS: Final = 42.0
_ENGLISH: Final = words_of("en")


@dataclass(frozen=True)
class _Scale:
    """Powers of ten from the first to the last."""

    first: int
    last: int

    @classmethod
    def around(cls, values: list[float]) -> Self:
        moved = [value for value in values if value > 0] or [1e-7, 1.0]
        return cls(floor(log10(min(moved))), ceil(log10(max(moved))))

    def at(self, value: float) -> float:
        """Where a value lies; 0 lies left of the axis."""
        if value <= 0:
            return _LEFT + _UNMOVED / 2
        part = (log10(value) - self.first) / max(1, self.last - self.first)
        return _START + (_END - _START) * part


def draw_deviations(
    series: Mapping[str, DeviationDistribution], marks: Mapping[str, float], words: Words = _ENGLISH
) -> Markup:
    """Draw a histogram of each series above one axis, and a line at each mark.

    Images that do not move at all, and marks at 0, are left of the axis, which begins above 0.
    """
    edges = [
        edge for deviations in series.values() for b in deviations.bins for edge in (b.low, b.high)
    ]
    scale = _Scale.around([*edges, *marks.values()])
    above = 12 + _MARK * len(marks)
    floor_line = above + _ROW * len(series)
    return picture(
        _WIDTH,
        floor_line + _AXIS,
        words("Images by the largest change of a logit, relative to the largest logit."),
        *_axis(scale, above, floor_line, words),
        *(
            shape
            for row, (name, deviations) in enumerate(series.items())
            for shape in _histogram(name, deviations, scale, above + _ROW * (row + 1), row)
        ),
        *_marks(marks, scale, floor_line),
    )


def _axis(scale: _Scale, above: float, below: float, words: Words) -> Iterator[Markup]:
    step = ceil((scale.last - scale.first) / 8) or 1
    for power in range(scale.first, scale.last + 1, step):
        x = scale.at(10.0**power)
        yield line((x, above), (x, below), class_="grid")
        yield text(x, below + 16, f"1e{power}", text_anchor="middle", class_="tick")
    yield text(scale.at(0), below + 16, "0", text_anchor="middle", class_="tick")
    label = words("largest change of a logit, as a part of the largest logit")
    yield text((_START + _END) / 2, below + 34, label, text_anchor="middle", class_="tick")


def _histogram(
    name: str, deviations: DeviationDistribution, scale: _Scale, base: float, row: int
) -> Iterator[Markup]:
    most = max([deviations.unmoved, *(b.images for b in deviations.bins)])
    yield text(_START + 8, base - _BAR - 24, name, class_="label halo")
    yield line((_LEFT, base), (_LEFT + _UNMOVED, base), class_="axis")
    yield line((_START, base), (_END, base), class_="axis")
    bars = [(scale.at(b.low), scale.at(b.high), b.images) for b in deviations.bins]
    for left, right, images in [(_LEFT, _LEFT + _UNMOVED, deviations.unmoved), *bars]:
        if not images:
            continue
        height = _BAR * images / most
        yield tag(
            "rect",
            x=left + 0.5,
            y=base - height,
            width=right - left - 1,
            height=height,
            class_="bar" if row == 0 else "bar hatched",
        )
        yield text(
            (left + right) / 2,
            base - height - 4,
            str(images),
            text_anchor="middle",
            class_="tick halo",
        )


def _marks(marks: Mapping[str, float], scale: _Scale, below: float) -> Iterator[Markup]:
    for row, (name, value) in enumerate(marks.items()):
        x, y = scale.at(value), 14 + _MARK * row
        yield line((x, y - 8), (x, below), class_=f"mark mark{row}")
        side = "start" if x < _WIDTH / 2 else "end"
        yield text(
            x + (5 if side == "start" else -5),
            y,
            f"{name}: {value:.2g}",
            text_anchor=side,
            class_="tick halo",
        )
