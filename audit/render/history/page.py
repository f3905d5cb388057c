"""A model's history as one page of HTML that holds all it shows."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import get_args

from artifact.values import Sha256, Verdict
from audit.history import History, HistoryPoint
from audit.names import harmless
from audit.render.history.curves import draw_agreement, draw_deviation, draw_sign
from audit.render.html.page import SIGNS
from audit.render.html.svg import picture
from audit.render.pages import page_environment


@dataclass(frozen=True)
class Addresses:
    """Where the page's reader finds reports, given their digests, and comparisons of two."""

    report: Callable[[Sha256], str]
    comparison: Callable[[Sha256, Sha256], str]


def render_history(history: History, addresses: Addresses) -> bytes:
    """Write one page that loads nothing and runs nothing."""
    points = history.points
    page = (
        page_environment("audit.render.history")
        .get_template("history.html")
        .render(
            history=history,
            signs=SIGNS,
            addresses=addresses,
            agreement=draw_agreement(points) if points else None,
            deviation=draw_deviation(points) if points else None,
            key={name: picture(20, 20, name, draw_sign(name)) for name in get_args(Verdict)},
            rows=[*_rows(history)][::-1],
            sets=len({point.data for point in points}),
        )
    )
    return harmless(page).encode() + b"\n"


def _rows(history: History) -> Iterator[tuple[HistoryPoint, HistoryPoint | None]]:
    """Yield each audit, and the one before where both were on the same images and rotations."""
    for before, point in pairwise((None, *history.points)):
        assert point is not None  # noqa: S101 -- only the first is none
        same = before and (before.data, before.group) == (point.data, point.group)
        yield point, before if same else None
