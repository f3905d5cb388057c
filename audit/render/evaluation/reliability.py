"""How often labels are right, by the probability that they were given with."""

from collections.abc import Iterator, Sequence
from typing import Final

from markupsafe import Markup

from audit.evaluation import Bin, Calibration
from audit.render.html.svg import Point, line, path, picture, tag, text

_LEFT: Final = 46.0
_TOP: Final = 10.0
_SIDE: Final = 300.0
_WIDTH: Final = _LEFT + _SIDE + 24
_BASE: Final = _TOP + _SIDE + 92
_BARS: Final = 56.0
_TICKS: Final = 5


def draw_reliability(calibration: Calibration) -> Markup:
    """Draw each bin's accuracy and its interval over the mean probability, and how full it is.

    On the diagonal, probabilities are what they say; below it, the model is surer than it is right.
    """
    bins = calibration.bins
    return picture(
        _WIDTH,
        _BASE + 40,
        "Part of the labels that are right, by the probability that they were given with.",
        *_axes(),
        line(_at(0, 0), _at(1, 1), class_="back"),
        *_intervals(bins),
        tag("path", d=path(_curve(bins), closed=False), class_="agreement"),
        *(tag("circle", cx=x, cy=y, r=3.5, class_="dot") for x, y in _curve(bins)),
        *_counts(bins),
    )


def _axes() -> Iterator[Markup]:
    for tick in range(_TICKS + 1):
        part = tick / _TICKS
        yield line(_at(part, 0), _at(part, 1), class_="grid")
        yield line(_at(0, part), _at(1, part), class_="grid")
        x, y = _at(part, part)
        yield text(_LEFT - 6, y + 4, f"{part:.0%}", text_anchor="end", class_="tick")
        yield text(x, _BASE + 16, f"{part:.0%}", text_anchor="middle", class_="tick")
    yield text(_LEFT + 8, _TOP + 18, "right", class_="label halo")
    yield text(_LEFT + 8, _BASE - _BARS - 8, "images", class_="label halo")
    yield line((_LEFT, _BASE), (_LEFT + _SIDE, _BASE), class_="axis")
    middle = _LEFT + _SIDE / 2
    yield text(middle, _BASE + 34, "largest probability", text_anchor="middle", class_="tick")


def _intervals(bins: Sequence[Bin]) -> Iterator[Markup]:
    for each in bins:
        low, high = each.right.interval.low, each.right.interval.high
        yield line(_at(each.probability, low), _at(each.probability, high), class_="whisker")


def _curve(bins: Sequence[Bin]) -> list[Point]:
    return [_at(each.probability, each.right.rate) for each in bins]


def _counts(bins: Sequence[Bin]) -> Iterator[Markup]:
    most = max(each.right.total for each in bins)
    for each in bins:
        height = _BARS * each.right.total / most
        yield tag(
            "rect",
            x=_LEFT + _SIDE * each.low + 1,
            y=_BASE - height,
            width=_SIDE * (each.high - each.low) - 2,
            height=height,
            class_="bar",
        )


def _at(probability: float, right: float) -> Point:
    return _LEFT + _SIDE * probability, _TOP + _SIDE * (1 - right)
