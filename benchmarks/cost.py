"""The first picture of docs/training.md: error on rotated MNIST against what an image costs.

Run ``python -m benchmarks.cost``. Shipped networks are drawn from their cards.
"""

import argparse
import math
from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final, NamedTuple

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from artifact.card import load_card
from artifact.layout import CARD_FILE, version_folders

STYLE: Final[Any] = {"svg.fonttype": "none", "svg.hashsalt": "orbitserve", "font.size": 9}


class Point(NamedTuple):
    """A network: what an image costs, and how many test digits it gets wrong, in percent."""

    name: str
    multiply_adds: float
    error: float


# Weiler and Cesa 2019: errors on the original set; multiply-adds are estimated from the layers that
# the paper lists, to a fifth or so.
PUBLISHED: Final = (
    Point("E2-CNN, C16", 7.7e9, 0.716),
    Point("E2-CNN, D16 then C16", 14.4e9, 0.682),
)

# The lowest error that was found, of 2022; what an image costs is not published.
LOWEST: Final = 0.59

_LABELS: Final[Any] = {"fontsize": 8, "textcoords": "offset points", "va": "center"}


def main() -> None:
    """Draw the picture."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cost", description=__doc__)
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--out", type=Path, default=Path("docs/training/errors.svg"))
    options = parser.parse_args()
    options.out.parent.mkdir(parents=True, exist_ok=True)
    with matplotlib.rc_context(STYLE):
        draw(list(shipped(options.repository))).savefig(options.out, metadata={"Date": None})


def shipped(repository: Path) -> Iterator[Point]:
    """Yield the networks of a repository, each in its highest version and its first precision."""
    names = {folder.name for folder in repository.iterdir()}
    for name in sorted(names):
        card = load_card(version_folders(repository / name)[-1] / CARD_FILE)
        made_of = card.conversion.source.name if card.conversion else None
        if made_of not in names and card.size is not None:
            yield Point(card.name, card.size.multiply_adds, card.metrics["test"].error_percent)


def draw(ours: Sequence[Point]) -> Figure:
    """Draw error against multiply-adds: filled points are shipped, open ones published."""
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.set_xscale("log")
    _mark(axes, ours, color="black")
    _mark(axes, PUBLISHED, markerfacecolor="white", markeredgecolor="black")
    axes.axhline(LOWEST, color="black", linewidth=0.8, linestyle="--")
    axes.annotate(
        f"{LOWEST} %: Sim(2)-CNN, multiply-adds not published", (1.3e6, LOWEST), (0, -8), **_LABELS
    )
    axes.set_xlim(4e5, 9e10)
    axes.set_ylim(0.4, 2)
    axes.set_xlabel("multiply-adds an image")
    axes.set_ylabel("wrong, % of 50,000 rotated digits")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="0.9")
    return figure


def _mark(axes: Axes, points: Sequence[Point], **style: Any) -> None:
    """Name each point above or below, where its nearest neighbour is not."""
    for point in points:
        others = (other for other in points if other != point)
        neighbour = min(others, key=partial(_distance, point))
        place = (point.multiply_adds, point.error)
        axes.plot(*place, "o", markersize=6, **style)
        name = f"{point.name}, {point.error:.2f} %"
        side = 11 if point.error > neighbour.error else -11
        axes.annotate(name, place, (0, side), ha="center", **_LABELS)


def _distance(one: Point, other: Point) -> float:
    """Return how far apart two points lie in the picture, where a decade is as long as 0.6 %."""
    decades = math.log10(one.multiply_adds / other.multiply_adds)
    return math.hypot(0.6 * decades, one.error - other.error)


if __name__ == "__main__":
    main()
