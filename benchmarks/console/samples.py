"""Draw the console's sample digits: `python -m benchmarks.console.samples`.

They are strokes of a round pen, drawn by this file alone, so that no data set's licence goes with
the package. The seven is shown first because networks are unsure of it, as the page says.
"""

import math
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Final

from PIL import Image, ImageDraw

Point = tuple[float, float]
Stroke = list[Point]

FOLDER: Final = Path(__file__).parents[2] / "service" / "api" / "console" / "static"
_SIDE: Final = 28
_FINER: Final = 16
_PEN: Final = 2.4


def arc(x: float, y: float, rx: float, ry: float, start: float, stop: float) -> Stroke:
    """Points of an ellipse between two angles, in degrees clockwise from the right."""
    steps = 40
    angles = (math.radians(start + (stop - start) * step / steps) for step in range(steps + 1))
    return [(x + rx * math.cos(angle), y + ry * math.sin(angle)) for angle in angles]


DIGITS: Final[dict[str, list[Stroke]]] = {
    "2": [[*arc(14, 9.5, 4.6, 4.4, 190, 400), (9.2, 22.5), (19.4, 22.2)]],
    "4": [[(15.8, 5.5), (8.4, 16.4), (20, 16.2)], [(16.6, 10), (15.6, 23)]],
    "5": [[(18.8, 5.6), (11, 6), (10.2, 12.8), *arc(13.4, 17, 5, 5, 245, 510)]],
    "7": [[(8.6, 6.6), (19.2, 6.2), (12.2, 22.8)]],
    "7-crossed": [[(8.2, 7.2), (18.6, 6), (12.6, 22.6)], [(11.4, 14.6), (19.4, 13.4)]],
}
"""Strokes on 28 x 28 pixels."""


def draw(strokes: list[Stroke]) -> Image.Image:
    """Draw strokes in white on black, antialiased."""
    picture = Image.new("L", (_SIDE * _FINER, _SIDE * _FINER))
    pen = ImageDraw.Draw(picture)
    for stroke in strokes:
        for x, y in _dense(stroke):
            box = [_FINER * (at + off) for off in (-_PEN / 2, _PEN / 2) for at in (x, y)]
            pen.ellipse(box, fill=255)
    return picture.resize((_SIDE, _SIDE), Image.Resampling.BOX)


def _dense(stroke: Stroke) -> Iterator[Point]:
    for (x0, y0), (x1, y1) in pairwise(stroke):
        steps = max(1, math.ceil(math.hypot(x1 - x0, y1 - y0) * _FINER / 4))
        for step in range(steps + 1):
            yield x0 + (x1 - x0) * step / steps, y0 + (y1 - y0) * step / steps


if __name__ == "__main__":
    for name, strokes in DIGITS.items():
        draw(strokes).save(FOLDER / f"sample-{name}.png", optimize=True)
