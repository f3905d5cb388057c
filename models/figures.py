"""Pictures of a training run: its learning curve, and the confusion matrix of its network.

They read without colour: lines differ by their dashes and carry their names, cells carry numbers.
matplotlib is imported only when a picture is drawn.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from models.training import Epoch

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_NAMES = 30
"""Classes beyond which names and numbers would not be legible."""


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
    named = len(classes) <= _MOST_NAMES
    side = 2.4 + (0.55 * len(classes) if named else 6)
    figure, axes = _figure(side + 0.8, side)
    parts = matrix / np.maximum(matrix.sum(1, keepdims=True), 1)
    axes.imshow(parts, cmap="Greys", vmin=0, vmax=1)
    if named:
        for (i, j), count in np.ndenumerate(matrix):
            shade = "white" if parts[i, j] > 0.5 else "black"
            axes.text(j, i, str(count), ha="center", va="center", color=shade)
        upright = max(map(len, classes)) <= 2
        axes.set_xticks(range(len(classes)), classes, rotation=0 if upright else 90)
        axes.set_yticks(range(len(classes)), classes)
    wrong = 100 * (1 - np.trace(matrix) / matrix.sum())
    axes.set_title(f"{matrix.sum()} test images, {wrong:.2f} % wrong", fontsize="medium")
    axes.set_xlabel("label given")
    axes.set_ylabel("true class")
    axes.tick_params(length=0)
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


def _figure(width: float, height: float) -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), layout="constrained")
    return figure, figure.subplots()


def _save(figure: "Figure", paths: Sequence[Path]) -> None:
    import matplotlib

    # The same picture is the same file: no date, and the names inside an SVG follow from a salt.
    with matplotlib.rc_context({"svg.hashsalt": "orbitserve"}):
        for path in paths:
            metadata = {"Date": None} if path.suffix == ".svg" else {"Software": None}
            figure.savefig(path, dpi=150, metadata=metadata)
