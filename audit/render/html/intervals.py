"""Every angle of an image as a strip from 0 to 360 degrees."""

from collections.abc import Iterator
from typing import Final

from markupsafe import Markup

from audit.exhaustive import ExhaustiveImage
from audit.render.html.svg import line, picture, tag, text
from audit.render.language import Words
from audit.render.naming import Naming

_WIDTH: Final = 620.0
_LEFT: Final = 8.0
_END: Final = _WIDTH - 12
_HEIGHT: Final = 22.0
# An interval that is narrower than a line is drawn as wide as one, so that it can be seen.
_NARROWEST: Final = 1.5


def draw_intervals(image: ExhaustiveImage, words: Words, naming: Naming) -> Markup:
    """Draw at which angles the label is that of the upright image, and where it is not."""
    title = words(
        "{image}: at which angles it is not {label}.",
        image=naming.image(image.index),
        label=naming.label(image.label),
    )
    return picture(
        _WIDTH,
        _HEIGHT + 22,
        title,
        tag("rect", x=_LEFT, y=2, width=_END - _LEFT, height=_HEIGHT, class_="kept"),
        *_others(image),
        *_ticks(),
    )


def _others(image: ExhaustiveImage) -> Iterator[Markup]:
    for interval in image.intervals:
        if interval.label != image.label:
            start, stop = _at(interval.start), _at(interval.stop)
            width = max(stop - start, _NARROWEST)
            yield tag("rect", x=start, y=2, width=width, height=_HEIGHT, class_="other")


def _ticks() -> Iterator[Markup]:
    for degrees in range(0, 361, 45):
        x = _at(degrees)
        yield line((x, _HEIGHT + 2), (x, _HEIGHT + 6), class_="axis")
        anchor = "start" if degrees == 0 else "end" if degrees == 360 else "middle"
        yield text(x, _HEIGHT + 18, f"{degrees}°", text_anchor=anchor, class_="tick")


def _at(degrees: float) -> float:
    return _LEFT + (_END - _LEFT) * degrees / 360
