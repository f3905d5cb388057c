"""Draw the pictures of docs/concepts.md from the shipped models: `python -m benchmarks.concepts`.

Filters and feature maps are read from the files that are served. What a caption says of them is
checked while they are drawn, so that no picture shows what is not so.
"""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import matplotlib
import numpy as np
import onnx
import onnxruntime
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

REPOSITORY: Final = Path("model_repository")
IMAGE: Final = Path("examples/seven.png")
FOLDER: Final = Path("docs/concepts")

DEGREES: Final = (0, 90, 180, 270)
FIELD: Final = 3  # of the twelve that the first layer of rotmnist-c4 computes
PATTERN: Final = (9, 7)  # a field of the second layer, and one of those that it reads

_FILTERS: Final = {"cmap": "RdBu_r", "interpolation": "none"}
_MAPS: Final = {"cmap": "Greys", "interpolation": "none", "vmin": 0}
STYLE: Final[Any] = {"svg.fonttype": "none", "svg.hashsalt": "orbitserve", "font.size": 9}

Array = NDArray[np.float32]


def main() -> None:
    """Draw all of them, or those that are named."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *PICTURES], metavar="NAME")
    parser.add_argument("--folder", type=Path, default=FOLDER)
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    for name in options.names or PICTURES:
        with matplotlib.rc_context(STYLE):
            PICTURES[name]().savefig(options.folder / f"{name}.svg", metadata={"Date": None})


def draw_filters() -> Figure:
    """A filter of each kind of network, and what its network makes of it."""
    quarters = _bank("rotmnist-c4", "layers.1.weight", 4)[FIELD, :, 0]
    eighths = _bank("rotmnist-c8", "layers.1.weight", 8)[2, :, 0]
    plain = _bank("rotmnist-cnn", "layers.1.weight", 1)[8:16, 0, 0]
    _check_rotated(quarters, quarters[0])
    _check_rotated(eighths[::2], eighths[0])
    figure, rows = _figure(8, 3, width=8.4)
    for axes, each, degrees in zip(rows[0][::2], quarters, DEGREES, strict=True):
        _show(axes, each, f"{degrees}°", **_FILTERS, **_range(quarters))
    for axes, each, k in zip(rows[1], eighths, range(8), strict=True):
        _show(axes, each, f"{45 * k}°", **_FILTERS, **_range(eighths))
    for axes, each, k in zip(rows[2], plain, range(8), strict=True):
        _show(axes, each, f"filter {8 + k}", **_FILTERS, **_range(plain))
    for row, name in zip(rows, ("C4", "C8", "plain"), strict=True):
        _name(row[0], name)
    return figure


def draw_lifting() -> Figure:
    """The orbit of feature maps that the first layer makes of an image, and of the rotated one."""
    images = _image(), np.rot90(_image())
    fields = [_field("rotmnist-c4", "relu", image)[FIELD] for image in images]
    plain = [_field("rotmnist-cnn", "relu", image)[[8, 13, 10, 18], 0] for image in images]
    _check_equal(np.roll(np.rot90(fields[0], axes=(1, 2)), 1, 0), fields[1])
    figure, rows = _figure(5, 4, width=7.4)
    letters = "ABCD"
    for row, image, field, shift in zip(rows, images, fields, (0, 1), strict=False):
        _show(row[0], image, "the image" if not shift else "the image, rotated", **_MAPS)
        for g, axes in enumerate(row[1:]):
            letter = letters[(g - shift) % 4]
            said = f"{letter}, rotated" if shift else f"{letter}: filter at {DEGREES[g]}°"
            _show(axes, field[g], said, **_MAPS, vmax=max(map(np.max, fields)))
    change = np.abs(np.rot90(plain[0], axes=(1, 2)) - plain[1]).max() / np.abs(plain[0]).max()
    for row, image, maps, shift in zip(rows[2:], images, plain, (0, 1), strict=True):
        _show(row[0], image, "the image" if not shift else "the image, rotated", **_MAPS)
        for axes, each, letter in zip(row[1:], maps, "PQRS", strict=True):
            said = f"filter {letter}" if not shift else f"filter {letter}: another map"
            _show(axes, each, said, **_MAPS, vmax=max(map(np.max, plain)))
    _check(change > 0.1, "the plain network's maps hardly change")
    _name(rows[0][0], "C4")
    _name(rows[2][0], "plain")
    return figure


def draw_convolution() -> Figure:
    """One filter over pixels and group, and what each element makes of it."""
    bank = _bank("rotmnist-c4", "layers.4.weight", 4)  # [C', g, C |G|, k, k]
    out, into = PATTERN
    filters = bank[out].reshape(4, -1, 4, *bank.shape[-2:])[:, into]  # [g, h, k, k]
    for g in range(4):
        _check_equal(np.roll(np.rot90(filters[0], g, (1, 2)), g, 0), filters[g])
    figure, rows = _figure(4, 4, width=5.2)
    for g, row in enumerate(rows):
        for h, axes in enumerate(row):
            letter = "abcd"[(h - g) % 4]
            said = f"{letter}, rotated by {DEGREES[g]}°" if g else letter
            _show(axes, filters[g, h], said, **_FILTERS, **_range(filters))
        _name(row[0], f"output at {DEGREES[g]}°")
    for axes, degrees in zip(rows[-1], DEGREES, strict=True):
        axes.set_xlabel(f"reads map at {degrees}°")
    return figure


def draw_pooling() -> Figure:
    """The maximum over the group, and what is left of an orientation behind it: where, not how."""
    images = _image(), np.rot90(_image())
    fields = [_field("rotmnist-c4", "relu_2", image)[PATTERN[0]] for image in images]
    pooled = [field.max(0) for field in fields]
    _check_equal(np.rot90(pooled[0]), pooled[1])
    figure, rows = _figure(6, 2, width=8.4)
    for row, image, field, most, name in zip(
        rows, images, fields, pooled, ("the image", "rotated"), strict=True
    ):
        _show(row[0], image, name, **_MAPS)
        for axes, each, degrees in zip(row[1:5], field, DEGREES, strict=True):
            _show(axes, each, f"map at {degrees}°", **_MAPS, vmax=max(map(np.max, fields)))
        _show(row[5], most, "the maximum of the four", **_MAPS, vmax=max(map(np.max, fields)))
    return figure


def draw_features() -> Figure:
    """What the last layer reads, of an image in four orientations."""
    figure, rows = _figure(1, 2, width=7.4)
    for (axes,), name, title in zip(
        rows,
        ("rotmnist-c4", "rotmnist-cnn"),
        ("C4: 24 features of the image in four orientations", "plain: 48 features"),
        strict=True,
    ):
        features = np.stack([_run(name, "amax", np.rot90(_image(), k))[0] for k in range(4)])
        moved = np.abs(features - features[0]).max() / np.abs(features).max()
        _check(moved < 1e-5 if name == "rotmnist-c4" else moved > 0.1, "features are not as told")
        _show(axes, features, title, **_MAPS, aspect="auto")
        axes.set_yticks(range(4), [f"{degrees}°" for degrees in DEGREES])
    figure.set_figheight(2.6)
    return figure


PICTURES: Final[dict[str, Callable[[], Figure]]] = {
    "filters": draw_filters,
    "lifting": draw_lifting,
    "convolution": draw_convolution,
    "pooling": draw_pooling,
    "features": draw_features,
}


def _image() -> NDArray[np.uint8]:
    return np.asarray(Image.open(IMAGE))


def _file(name: str) -> Path:
    return REPOSITORY / name / "1" / "model.onnx"


def _bank(name: str, weight: str, order: int) -> Array:
    """Read a layer's filters as ``[C', |G|, C, k, k]``."""
    graph = onnx.load(_file(name)).graph
    (found,) = (each for each in graph.initializer if each.name == weight)
    bank = onnx.numpy_helper.to_array(found)
    shaped: Array = bank.reshape(-1, order, *bank.shape[1:])
    return shaped


def _field(name: str, tensor: str, image: NDArray[np.uint8]) -> Array:
    """Compute a layer's output of one image as ``[C, |G|, H, W]``."""
    found = _run(name, tensor, image)[0]
    field: Array = found.reshape(-1, 1 if name == "rotmnist-cnn" else 4, *found.shape[1:])
    return field


def _run(name: str, tensor: str, image: NDArray[np.uint8]) -> Array:
    model = onnx.load(_file(name))
    model.graph.output.append(onnx.ValueInfoProto(name=tensor))
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    found: Array = session.run([tensor], {"image": np.ascontiguousarray(image)[None, None]})[0]
    return found


def _check(holds: bool, fault: str) -> None:
    if not holds:
        raise ValueError(f"The model does not show what the picture says: {fault}.")


def _check_rotated(filters: Array, first: Array) -> None:
    for k, each in enumerate(filters):
        _check(np.array_equal(each, np.rot90(first, k)), "a filter is no rotated copy")


def _check_equal(one: Array, other: Array) -> None:
    _check(np.abs(one - other).max() <= 1e-5 * np.abs(one).max(), "two maps differ")


def _range(filters: Array) -> dict[str, float]:
    largest = float(np.abs(filters).max())
    return {"vmin": -largest, "vmax": largest}


def _figure(columns: int, rows: int, width: float) -> tuple[Figure, NDArray[Any]]:
    figure = Figure(figsize=(width, width / columns * rows * 1.18), layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.set_visible(False)
    return figure, grid


def _show(axes: Axes, pixels: NDArray[Any], title: str, **how: Any) -> None:
    axes.set_visible(True)
    axes.imshow(pixels, **how)
    axes.set_title(title, fontsize=8)
    axes.set_xticks([])
    axes.set_yticks([])


def _name(axes: Axes, name: str) -> None:
    axes.set_ylabel(name, fontsize=9, fontweight="bold")


if __name__ == "__main__":
    main()
