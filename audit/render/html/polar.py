"""Agreement by angle, drawn on a circle."""

from collections.abc import Iterator, Sequence
from typing import Final

from markupsafe import Markup

from audit.angles.outcome import AngleFigures, AnglePoint
from audit.render.html.svg import Point, line, on_circle, path, picture, tag, text
from audit.render.language import Words, words_of

_SIZE: Final = 460.0
_CENTRE: Final = _SIZE / 2
_RADIUS: Final = 178.0
_HOLE: Final = 26.0

# What the centre may stand for: the ring in the middle is the largest that all bands lie above.
_CENTRES: Final = (0.98, 0.95, 0.9, 0.8, 0.5, 0.0)
_RINGS: Final = 4
_ENGLISH: Final = words_of("en")


def draw_polar(figures: AngleFigures, low: float | None = None, words: Words = _ENGLISH) -> Markup:
    """Draw the part of images that keep their label at each angle, its band, and the controls.

    The radius does not start at 0: the inner ring stands for `low`, which is written on it; by
    default it is chosen so that all of the drawing lies outside.
    """
    low = centre_of(figures.curve) if low is None else low
    return picture(
        _SIZE,
        _SIZE,
        words(
            "Part of the images that keep their label, by angle; the inner ring is {low:.0%}.",
            low=low,
        ),
        *_grid(low),
        tag("path", d=_band(figures.curve, low), class_="band", fill_rule="evenodd"),
        *_controls(figures.curve, low),
        tag("path", d=path(_outline(figures.curve, low)), class_="agreement"),
        *(
            tag("circle", cx=x, cy=y, r=2.6, class_="dot")
            for x, y in _outline(figures.curve, low)
            if len(figures.curve) <= 72
        ),
        *_values(low),
    )


def centre_of(curve: Sequence[AnglePoint]) -> float:
    """The agreement that the inner ring stands for."""
    least = min(min(p.band.low, p.control_agreement, p.damped_agreement or 1) for p in curve)
    return next(low for low in _CENTRES if low <= least)


def _grid(low: float) -> Iterator[Markup]:
    for degrees in range(0, 360, 30):
        start, stop = _at(degrees, low, low), _at(degrees, 1, low)
        yield line(start, stop, class_="grid" if degrees % 90 else "grid quarter")
        x, y = on_circle(_CENTRE, _RADIUS + 22, degrees)
        yield text(x, y + 4, f"{degrees}°", text_anchor="middle", class_="tick")
    for ring in range(_RINGS + 1):
        value = low + (1 - low) * ring / _RINGS
        yield tag("circle", cx=_CENTRE, cy=_CENTRE, r=_radius(value, low), class_="grid")


def _values(low: float) -> Iterator[Markup]:
    for ring in range(_RINGS + 1):
        value = low + (1 - low) * ring / _RINGS
        x, y = on_circle(_CENTRE, _radius(value, low), 75)
        yield text(x, y + 4, f"{100 * value:.4g} %", text_anchor="middle", class_="tick halo")


def _band(curve: Sequence[AnglePoint], low: float) -> str:
    outer = [_at(point.degrees, point.band.high, low) for point in curve]
    inner = [_at(point.degrees, point.band.low, low) for point in curve]
    return path(outer, inner)


def _controls(curve: Sequence[AnglePoint], low: float) -> Iterator[Markup]:
    back = [_at(point.degrees, point.control_agreement, low) for point in curve]
    yield tag("path", d=path(back), class_="back")
    damped = [
        _at(point.degrees, point.damped_agreement, low)
        for point in curve
        if point.damped_agreement is not None
    ]
    if damped:
        yield tag("path", d=path(damped), class_="damped")


def _outline(curve: Sequence[AnglePoint], low: float) -> list[Point]:
    return [_at(point.degrees, point.agreement, low) for point in curve]


def _at(degrees: float, value: float, low: float) -> Point:
    return on_circle(_CENTRE, _radius(value, low), degrees)


def _radius(value: float, low: float) -> float:
    return _HOLE + (_RADIUS - _HOLE) * (value - low) / (1 - low)
