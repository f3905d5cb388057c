"""Agreement and deviation over the audits of a model, each point with its verdict."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import ceil, floor, log10
from typing import Final

from markupsafe import Markup

from artifact.values import Verdict
from audit.history import HistoryPoint
from audit.render.html.svg import Point, line, path, picture, tag, text

_WIDTH: Final = 760.0
_LEFT: Final = 78.0
_END: Final = _WIDTH - 24
_TOP: Final = 30.0
_HEIGHT: Final = 180.0
_BELOW: Final = 52.0
_WIDEST: Final = 110.0
_LABELS: Final = 24
_STEPS: Final = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5)
_TICKS: Final = 6


def draw_agreement(points: Sequence[HistoryPoint]) -> Markup:
    """Draw the part of all images that keep their label, its interval, and what was asked."""
    lowest = min(min(point.interval.low, point.asked) for point in points)
    step = next((s for s in _STEPS if (1 - lowest) / s <= _TICKS), 1.0)
    low = max(0.0, 1 - step * max(1, ceil((1 - lowest) / step - 1e-9)))

    def at(part: float) -> float:
        return _TOP + _HEIGHT * (1 - part) / (1 - low)

    ticks = [1 - step * k for k in range(round((1 - low) / step) + 1)]
    whiskers = (
        line((x, at(p.interval.low)), (x, at(p.interval.high)), class_="mark")
        for x, p in _placed(points)
    )
    asked = [[(x, at(point.asked)) for x, point in _placed(points)]]
    return _panel(
        points,
        "Images that keep their label, by audit.",
        [(at(part), f"{part:.4g}" if step < 0.001 else f"{100 * part:.4g}%") for part in ticks],
        "keep their label; dashed: asked",
        [_Curve([(x, at(p.agreement)) for x, p in _placed(points)], "agreement"), *_asked(asked)],
        whiskers,
    )


def draw_deviation(points: Sequence[HistoryPoint]) -> Markup:
    """Draw the largest change of a logit, on a logarithmic axis with 0, and what was allowed."""
    values = [v for p in points for v in (p.deviation, p.tolerance) if v > 0] or [1e-7, 1e-4]
    first, last = floor(log10(min(values))), ceil(log10(max(values)))
    last = max(last, first + 1)
    room = _HEIGHT - 24

    def at(value: float) -> float:
        if value <= 0:
            return _TOP + _HEIGHT - 6
        return _TOP + room * (last - log10(value)) / (last - first)

    step = ceil((last - first) / _TICKS)
    ticks = [(at(10.0**k), f"1e{k}") for k in range(first, last + 1, step)]
    allowed = [[(x, at(point.tolerance)) for x, point in _placed(points)]]
    return _panel(
        points,
        "Largest change of a logit, relative to the largest logit, by audit.",
        [*ticks, (at(0), "0")],
        "largest change of a logit, of the largest; dashed: allowed",
        [_Curve([(x, at(p.deviation)) for x, p in _placed(points)], "agreement"), *_asked(allowed)],
        iter(()),
    )


def draw_sign(verdict: Verdict, x: float = 10, y: float = 10) -> Markup:
    """Draw a verdict by shape and colour: a disc is PASS, a square FAIL, a triangle neither."""
    shape = f"point {verdict}"
    if verdict == "PASS":
        return tag("circle", cx=x, cy=y, r=5, class_=shape)
    if verdict == "FAIL":
        return tag("rect", x=x - 5.5, y=y - 5.5, width=11, height=11, class_=shape)
    corners = [(x, y - 7), (x + 7, y + 5), (x - 7, y + 5)]
    return tag("path", d=path(corners), class_=f"{shape} hollow")


@dataclass(frozen=True)
class _Curve:
    points: list[Point]
    style: str


def _asked(rings: list[list[Point]]) -> list[_Curve]:
    """Level over the width of each audit, so that one alone has a line too."""
    half = 9.0
    wide = [point for x, y in rings[0] for point in ((x - half, y), (x + half, y))]
    return [_Curve(wide, "back")]


def _panel(
    points: Sequence[HistoryPoint],
    title: str,
    ticks: Sequence[tuple[float, str]],
    words: str,
    curves: Sequence[_Curve],
    more: Iterator[Markup],
) -> Markup:
    (main, *others), below = curves, _TOP + _HEIGHT
    return picture(
        _WIDTH,
        below + _BELOW,
        title,
        text(_LEFT, 16, words, class_="tick"),
        *(line((_LEFT, y), (_END, y), class_="grid") for y, _ in ticks),
        *(text(_LEFT - 8, y + 4, word, text_anchor="end", class_="tick") for y, word in ticks),
        *_columns(points, below),
        *(tag("path", d=path(c.points, closed=False), class_=c.style) for c in others),
        *more,
        tag("path", d=path(main.points, closed=False), class_=main.style),
        *(draw_sign(p.verdict, x, y) for p, (x, y) in zip(points, main.points, strict=True)),
    )


def _columns(points: Sequence[HistoryPoint], below: float) -> Iterator[Markup]:
    yield line((_LEFT, below), (_END, below), class_="axis")
    step, version = ceil(len(points) / _LABELS), None
    for n, (x, point) in enumerate(_placed(points)):
        if n % step == 0:
            yield text(x, below + 18, f"{point.number}", text_anchor="middle", class_="tick")
        if point.version != version:
            version = point.version
            yield line((x, below), (x, below + 6), class_="axis")
            label = f"version {version}" if n == 0 else f"{version}"
            anchor = "start" if n == 0 else "middle"
            yield text(x, below + 36, label, text_anchor=anchor, class_="label")


def _placed(points: Sequence[HistoryPoint]) -> Iterator[tuple[float, HistoryPoint]]:
    width = min(_WIDEST, (_END - _LEFT) / len(points))
    for n, point in enumerate(points):
        yield _LEFT + width * (n + 0.5), point
