"""Pictures of a training run: its learning curve, its network's confusion matrix, its mistakes.

They read without colour: lines differ by their dashes and carry their names, cells carry numbers.
matplotlib is imported only when a picture is drawn.
"""

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from models.checkpoint import write_run_file
from models.lettering import Lettering, shortened
from models.mistakes import Mistake
from models.training import Epoch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_PAGE = 7.5
"""Inches that the cells of a confusion matrix take at most: with names, a page."""

_CELL, _LEAST_FONT = 0.55, 4
"""Inches of a cell where there are few, and points of the smallest text that can be read."""

_SHOWN, _COLUMNS = 40, 8
"""Wrong images on a page, and in a row."""


def confusion_matrix(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """Count how many images of each class (rows) got each label (columns): int64 ``[K, K]``."""
    pairs = np.bincount(labels * classes + predicted, minlength=classes**2)
    return pairs.reshape(classes, classes).astype(np.int64)


def draw_confusion(
    matrix: NDArray[np.int64], classes: Sequence[str], paths: Sequence[Path]
) -> None:
    """Draw ``matrix`` with rows shaded by their parts, once for each path, by its suffix."""
    import matplotlib

    lettering, count = Lettering.of(classes), len(classes)
    cell = min(_CELL, _PAGE / count)
    font = min(10.0, cell * 72 * 0.45)
    with matplotlib.rc_context({"font.family": list(lettering.fonts)}):
        side = 2.4 + cell * count
        figure, axes = _figure(side + 0.8, side)
        parts = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
        axes.imshow(parts, cmap="Greys", vmin=0, vmax=1)
        if font >= _LEAST_FONT:
            _write_counts(axes, matrix, parts, font)
        _name_ticks(axes, lettering, font)
        wrong = 100 * (1 - np.trace(matrix) / matrix.sum())
        axes.set_title(f"{matrix.sum()} test images, {wrong:.2f} % wrong", fontsize="medium")
        numbers = ", by the numbers of confusion.csv" if lettering.numbered else ""
        axes.set_xlabel(f"label given{numbers}")
        axes.set_ylabel(f"true class{numbers}")
        axes.tick_params(length=0)
        _save(figure, paths)


def draw_mistakes(
    mistakes: Sequence[Mistake], classes: Sequence[str], paths: Sequence[Path]
) -> None:
    """Draw the first images with wrong labels on a page, numbered as in their table."""
    import matplotlib

    shown = mistakes[:_SHOWN]
    lettering = Lettering.of(classes)
    names = [shortened(name, 14) for name in lettering.names]
    columns = min(_COLUMNS, max(4, len(shown)))
    rows = -(-len(shown) // columns)
    with matplotlib.rc_context({"font.family": list(lettering.fonts)}):
        figure = _page(1.45 * columns, 0.5 + 1.85 * rows)
        grid = figure.subplots(rows, columns, squeeze=False)
        for axes in grid.flat:
            axes.set_axis_off()
        for i, (mistake, axes) in enumerate(zip(shown, grid.flat, strict=False), start=1):
            pixels = mistake.image.transpose(1, 2, 0)
            levels = pixels.squeeze(-1) if pixels.shape[2] == 1 else pixels
            axes.imshow(levels, "gray", vmin=0, vmax=255)
            text = f"{i}. is {names[mistake.true]}\nlabelled {names[mistake.given]}"
            axes.set_title(
                f"{text}\n{100 * mistake.probability:.0f} %", fontsize=7, parse_math=False
            )
        numbers = ", classes by the numbers of confusion.csv" if lettering.numbered else ""
        title = f"{len(shown)} of {len(mistakes)} wrong labels, the surest first{numbers}"
        figure.suptitle(title, fontsize="medium")
        _save(figure, paths)


def draw_learning_curve(
    history: Sequence[Epoch], kept: int, test_error: float, paths: Sequence[Path]
) -> None:
    """Draw the errors of each epoch, in percent, and at epoch ``kept`` the error on the tests."""
    figure, axes = _figure(7, 4)
    train = [(epoch.epoch, epoch.train_error) for epoch in history]
    axes.plot(*zip(*train, strict=True), color="0.5", label="training images, augmented")
    held_out = [
        (epoch.epoch, epoch.validation_error)
        for epoch in history
        if epoch.validation_error is not None
    ]
    if held_out:
        axes.plot(*zip(*held_out, strict=True), "k--", label="held-out images, averaged weights")
    label = f"test images, weights of epoch {kept}: {test_error:.2f} %"
    axes.plot(kept, test_error, "kD", label=label)
    axes.set_xlabel("epoch")
    axes.set_ylabel("wrong labels, %")
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    _save(figure, paths)


def _write_counts(
    axes: "Axes", matrix: NDArray[np.int64], parts: NDArray[np.float64], font: float
) -> None:
    """Write how many images each cell has, but for nothing where that would hide the rest."""
    few = len(matrix) <= 10
    for (i, j), count in np.ndenumerate(matrix):
        if count or few:
            shade = "white" if parts[i, j] > 0.5 else "black"
            axes.text(j, i, str(count), ha="center", va="center", color=shade, fontsize=font)


def _name_ticks(axes: "Axes", lettering: Lettering, font: float) -> None:
    """Name rows and columns; where there are too many, each so manieth, so that they are apart."""
    step = max(1, math.ceil(_LEAST_FONT / font))
    ticks = range(0, len(lettering.names), step)
    names = [lettering.names[i] for i in ticks]
    upright = max(map(len, names)) <= 2
    style: dict[str, Any] = {"fontsize": max(_LEAST_FONT, font), "parse_math": False}
    axes.set_xticks(ticks, names, rotation=0 if upright else 90, **style)
    axes.set_yticks(ticks, names, **style)


def _figure(width: float, height: float) -> "tuple[Figure, Axes]":
    figure = _page(width, height)
    return figure, figure.subplots()


def _page(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _save(figure: "Figure", paths: Sequence[Path]) -> None:
    import matplotlib

    # The same picture is the same file: no date, and the names inside an SVG follow from a salt.
    with matplotlib.rc_context({"svg.hashsalt": "orbitserve"}):
        for path in paths:
            metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
            picture = io.BytesIO()
            figure.savefig(picture, format=path.suffix[1:], dpi=150, metadata=metadata)
            write_run_file(path, picture.getvalue())
