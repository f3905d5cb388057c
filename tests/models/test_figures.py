import importlib
import sys
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image

from models.figures import (
    confusion_matrix,
    draw_confusion,
    draw_learning_curve,
    draw_mistakes,
)
from models.mistakes import Mistake
from models.training import Epoch


def history(held_out):
    return [
        Epoch(
            epoch=i + 1,
            loss=1 / (i + 1),
            train_error=50 / (i + 1),
            validation_error=60 / (i + 1) if held_out else None,
            learning_rate=1e-3,
            seconds=1.0,
        )
        for i in range(5)
    ]


def test_rows_are_true_classes_and_columns_are_labels_given():
    labels, predicted = np.array([0, 0, 0, 2]), np.array([0, 1, 1, 2])
    matrix = confusion_matrix(labels, predicted, 3)
    assert matrix.tolist() == [[1, 2, 0], [0, 0, 0], [0, 0, 1]]


@pytest.mark.slow
@pytest.mark.parametrize("classes", [2, 10, 40])
def test_a_confusion_matrix_is_drawn(tmp_path, classes):
    matrix = np.eye(classes, dtype=np.int64) * 7 + 1
    names = [f"class {i}" for i in range(classes)]
    paths = [tmp_path / "confusion.svg", tmp_path / "confusion.png"]
    draw_confusion(matrix, names, paths)
    assert ElementTree.parse(paths[0]).getroot().tag.endswith("svg")
    # Readable without colour: there is none.
    pixels = np.asarray(Image.open(paths[1]).convert("RGB")).astype(int)
    assert np.ptp(pixels, axis=-1).max() == 0


def test_a_class_without_test_images_is_drawn_too(tmp_path):
    draw_confusion(np.array([[0, 0], [1, 2]]), ["a", "b"], [tmp_path / "confusion.png"])


@pytest.mark.parametrize("held_out", [True, False])
def test_a_learning_curve_is_drawn_without_colour(tmp_path, held_out):
    draw_learning_curve(history(held_out), 3, 12.5, [tmp_path / "curve.png"])
    pixels = np.asarray(Image.open(tmp_path / "curve.png").convert("RGB")).astype(int)
    assert np.ptp(pixels, axis=-1).max() == 0


def test_the_darkest_pixel_of_a_wrong_image_is_no_blacker_than_it_is(tmp_path):
    image = np.full((1, 8, 8), 250, np.uint8)
    image[:, :4] = 120
    draw_mistakes([Mistake("a.png", image, 0, 1, 0.9)], ["a", "b"], [tmp_path / "wrong.png"])
    pixels = np.asarray(Image.open(tmp_path / "wrong.png").convert("L"))
    assert [int((pixels == level).sum()) > 1000 for level in (120, 250, 0)] == [True, True, False]


@pytest.mark.slow
def test_equal_runs_draw_equal_files(tmp_path):
    files = []
    for name in ("a", "b"):
        paths = [tmp_path / f"{name}.svg", tmp_path / f"{name}.png"]
        draw_learning_curve(history(True), 5, 1.0, paths)
        files.append([path.read_bytes() for path in paths])
    assert files[0] == files[1]


def test_matplotlib_is_imported_only_when_a_picture_is_drawn(monkeypatch):

    for name in [*sys.modules]:
        if name.partition(".")[0] in ("models", "matplotlib"):
            monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "matplotlib", None)  # an import of it fails
    importlib.import_module("models.trainer")
    figures = importlib.import_module("models.figures")
    with pytest.raises(ImportError):
        figures.draw_confusion(np.eye(2, dtype=np.int64), ["a", "b"], [])
