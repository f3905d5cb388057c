"""Images to audit on: folders with and without labels, and the sets of other versions."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from artifact.audit_set import AuditSet, save_audit_set
from imaging import FitPolicy, RefusedError
from models.datasets.pictures import read_pictures

POLICY = FitPolicy(8)


def write(path: Path, level: int = 9, mode: str = "L") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, (8, 8), level if mode == "L" else (level, 0, 0)).save(path)


def test_sub_folders_are_labels_and_a_flat_folder_has_none(tmp_path: Path) -> None:
    for name, level in (("b", 1), ("a", 2)):
        write(tmp_path / "labelled" / name / "x.png", level)
    write(tmp_path / "flat" / "x.png", 5)
    found = read_pictures(tmp_path / "labelled", ["b", "c", "a"], 1, POLICY)
    assert found.images[:, 0, 0, 0].tolist() == [2, 1]
    assert found.labels is not None
    assert found.labels.tolist() == [2, 0]
    flat = read_pictures(tmp_path / "flat", ["a", "b"], 3, POLICY)
    assert (flat.images.shape, flat.labels, flat.source) == ((1, 3, 8, 8), None, "flat")


def test_whoever_knows_what_a_folder_is_called_finds_its_class(tmp_path: Path) -> None:
    write(tmp_path / "labelled" / "B" / "x.png")
    found = read_pictures(
        tmp_path / "labelled", ["a", "b"], 1, POLICY, find=lambda name: "ab".find(name.lower())
    )
    assert found.labels is not None
    assert found.labels.tolist() == [1]
    many = [f"class {number}" for number in range(1000)]
    with pytest.raises(ValueError, match="class 4 and 995 more"):
        read_pictures(tmp_path / "labelled", many, 1, POLICY)


def test_an_audit_set_is_fitted_and_keeps_its_labels(tmp_path: Path) -> None:
    images = np.arange(2 * 8 * 8, dtype=np.uint8).reshape(2, 1, 8, 8)
    save_audit_set(tmp_path / "audit.npz", AuditSet(images, np.array([1, 0]), np.array([7, 7])))
    found = read_pictures(tmp_path / "audit.npz", ["a", "b"], 1, POLICY)
    assert np.array_equal(found.images, images)
    assert found.labels is not None
    assert found.labels.tolist() == [1, 0]
    assert found.groups is not None
    assert found.groups.tolist() == [7, 7]
    small = read_pictures(tmp_path / "audit.npz", ["a", "b"], 3, FitPolicy(4))
    assert small.images.shape == (2, 3, 4, 4)


def test_what_is_no_set_of_images_is_refused(tmp_path: Path) -> None:
    classes = ["a", "b"]
    write(tmp_path / "strange" / "z" / "x.png")
    write(tmp_path / "mixed" / "a" / "x.png")
    write(tmp_path / "mixed" / "x.png")
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "x.png").write_bytes(b"no image")
    images = np.zeros((2, 3, 8, 8), np.uint8)
    save_audit_set(tmp_path / "colour.npz", AuditSet(images))
    save_audit_set(tmp_path / "labels.npz", AuditSet(images[:, :1], np.array([0, 2])))
    for name, sentence in {
        "strange": "'z', which is no class; the classes are a, b",
        "mixed": "beside the folders of its classes, as x.png",
        "empty": "no images in",
        "broken": "x.png cannot be read as an image",
        "colour.npz": r"uint8 \[N, 1, H, W\] is accepted",
        "labels.npz": "go from 0 to 2, and there are 2 classes",
        "broken/x.png": "neither a folder of images nor an audit set",
        "nobody": "There is no",
    }.items():
        with pytest.raises(ValueError, match=sentence):
            read_pictures(tmp_path / name, classes, 1, POLICY)


@pytest.mark.parametrize(
    ("arrays", "sentence"),
    [
        ({"images": np.zeros((0, 1, 4, 4), np.uint8)}, "has no images; one or more"),
        ({"labels": np.array([0])}, r"labels of .* of shape \(1,\).*for N = 2 images"),
        ({"groups": np.array([0])}, r"groups of .* of shape \(1,\).*for N = 2 images"),
        ({"groups": np.array([0, 2**64 - 1], np.uint64)}, "groups of .* are uint64"),
    ],
)
def test_arrays_that_do_not_fit_together_are_refused(
    tmp_path: Path, arrays: dict[str, NDArray[Any]], sentence: str
) -> None:
    np.savez(tmp_path / "set.npz", **({"images": np.zeros((2, 1, 4, 4), np.uint8)} | arrays))
    with pytest.raises(RefusedError, match=sentence):
        read_pictures(tmp_path / "set.npz", ("a", "b"), 1, FitPolicy(4))
