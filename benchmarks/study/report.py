"""The study's table and pictures, from its raw figures alone."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from statistics import median
from typing import Any

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from benchmarks.study.systems import AUGMENTED, SEPARABLE, SIZES, SYSTEMS, WIDER

Results = Sequence[dict[str, Any]]

# Readable without colour: each system has a marker and a dash of its own.
_STYLES = dict(zip((s.name for s in SYSTEMS), ("o:", "s--", "^-", "D-."), strict=True))
_FULL = max(SIZES)


def write_report(results: Results, folder: Path) -> None:
    """Write tables.md, capacity.svg and guarantee.svg into ``folder``."""
    (folder / "tables.md").write_text("\n".join(_tables(results)) + "\n")
    matplotlib.rcParams["svg.hashsalt"] = "orbitserve"
    _save(_draw_capacity(results), folder / "capacity.svg")
    _save(_draw_guarantee(results), folder / "guarantee.svg")


def images_needed(results: Results, error: float) -> float | None:
    """Return how many training images the augmented CNN needs for ``error`` percent.

    Read off its curve of median errors, straight between measured sizes in logarithms; None where
    all of them are not enough, and the smallest size where that is enough.
    """
    errors = [_median(results, "test_error", AUGMENTED.name, images) for images in SIZES]
    if min(errors) > error:
        return None
    if error >= errors[0]:
        return min(SIZES)
    reversed_errors, sizes = np.log(errors[::-1]), np.log(SIZES[::-1])
    return float(np.exp(np.interp(np.log(error), reversed_errors, sizes)))


def _tables(results: Results) -> Iterator[str]:
    yield "Medians of three seeds, smallest and largest in brackets; percent of test digits."
    yield ""
    yield (
        "| 12,000 training images | free parameters | multiply-adds | " + " | ".join(_TITLES) + " |"
    )
    yield "| --- " * (3 + len(_TITLES)) + "|"
    for system in (*SYSTEMS, SEPARABLE):
        row = _select(results, system.name, _FULL)
        size = f"{row[0]['free_parameters']:,} | {row[0]['multiply_adds']:,}"
        cells = " | ".join(_spread(row, field) for field in _FIELDS)
        yield f"| {system.name} | {size} | {cells} |"
    yield ""
    yield "| test error by training images | " + " | ".join(f"{n:,}" for n in SIZES) + " |"
    yield "| --- " * (1 + len(SIZES)) + "|"
    for system in SYSTEMS:
        errors = (_spread(_select(results, system.name, n), "test_error") for n in SIZES)
        yield f"| {system.name} | {' | '.join(errors)} |"
    yield ""
    yield "| augmented, 12,000 images | free parameters | multiply-adds | error | rotated copies |"
    yield "| --- | --- | --- | --- | --- |"
    for width in (1, *WIDER):
        row = _select(results, AUGMENTED.name, _FULL, width)
        size = f"{row[0]['free_parameters']:,} | {row[0]['multiply_adds']:,}"
        cells = f"{_spread(row, 'test_error')} | {_spread(row, 'redundancy')}"
        yield f"| width x {width} | {size} | {cells} |"
    yield ""
    yield "| C4 with | has an error of | for which the augmented CNN needs |"
    yield "| --- | --- | --- |"
    for images in SIZES:
        error = _median(results, "test_error", "C4", images)
        needed = images_needed(results, error)
        if needed is None:
            said = f"more than {_FULL:,}"
        elif needed == min(SIZES):
            said = f"{needed:,.0f} or fewer"
        else:
            said = f"{needed:,.0f}, {needed / images:.1f} times as many"
        yield f"| {images:,} images | {error:.2f} % | {said} |"


_TITLES = (
    "error",
    "error at the worst of 36 angles",
    "same label at 4 quarter turns",
    "same label at 36 angles",
    "first-layer filters that are rotated copies",
    "the same before training",
)
_FIELDS = (
    "test_error",
    "worst_error",
    "agreement_quarters",
    "agreement_angles",
    "redundancy",
    "redundancy_untrained",
)


def _draw_capacity(results: Results) -> Figure:
    figure, axes = _figure()
    for system in SYSTEMS:
        spreads = [[line["test_error"] for line in _select(results, system.name, n)] for n in SIZES]
        middle = [median(values) for values in spreads]
        axes.plot(SIZES, middle, _STYLES[system.name], color="black", label=system.name)
        low, high = [min(v) for v in spreads], [max(v) for v in spreads]
        axes.fill_between(SIZES, low, high, color="black", alpha=0.08, linewidth=0)
    axes.set_xscale("log")
    axes.set_yscale("log")
    axes.set_xticks(SIZES, [f"{n:,}" for n in SIZES])
    axes.set_yticks([1, 2, 5, 10, 20, 50], ["1", "2", "5", "10", "20", "50"])
    axes.minorticks_off()
    axes.set_xlabel("training images")
    axes.set_ylabel("test error, %")
    axes.legend(frameon=False)
    return figure


def _draw_guarantee(results: Results) -> Figure:
    figure, axes = _figure()
    measures = (("upright_error", "as given", "0.8"), ("worst_error", "at the worst angle", "0.35"))
    for i, (field, label, shade) in enumerate(measures):
        values = [_median(results, field, system.name, _FULL) for system in SYSTEMS]
        places = np.arange(len(SYSTEMS)) + 0.4 * (i - 0.5)
        bars = axes.bar(places, values, 0.38, color=shade, edgecolor="black", label=label)
        axes.bar_label(bars, fmt="%.1f")
    axes.set_xticks(range(len(SYSTEMS)), [system.name for system in SYSTEMS])
    axes.set_ylabel("wrong labels, % of 1,000 test digits")
    figure.legend(frameon=False, loc="outside upper center", ncols=len(measures))
    return figure


def _figure() -> tuple[Figure, Axes]:
    figure = Figure(figsize=(7, 4.2), layout="constrained")
    axes = figure.subplots()
    axes.spines[["top", "right"]].set_visible(False)
    return figure, axes


def _save(figure: Figure, path: Path) -> None:
    figure.savefig(path, metadata={"Date": None})


def _select(results: Results, system: str, images: int, width: int = 1) -> Results:
    rows = [r for r in results if (r["system"], r["images"], r["width"]) == (system, images, width)]
    if not rows:
        raise ValueError(f"The study has no {system} with {images} images and width {width} yet.")
    return rows


def _median(results: Results, field: str, system: str, images: int) -> float:
    return float(median(line[field] for line in _select(results, system, images)))


def _spread(rows: Results, field: str) -> str:
    values = [row[field] for row in rows]
    return f"{median(values):.2f} [{min(values):.2f}, {max(values):.2f}]"
