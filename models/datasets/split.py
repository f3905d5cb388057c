"""A labelled set of images as arrays, its digest and its file."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from imaging.refusal import RefusedError
from imaging.writing import written_aside
from models.datasets.arrays import read_arrays


@dataclass(frozen=True)
class Split:
    """Images uint8 ``[N, C, H, W]`` and labels int64 ``[N]``.

    Attributes
    ----------
    groups : int64 [N], or None
        What each image was taken of, where somebody said: an audit counts equal numbers once.
    soft_labels : float32 [N, K], or None
        How probable those who labelled the images found each class, where they said. A file does
        not keep them.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    groups: NDArray[np.int64] | None = None
    soft_labels: NDArray[np.float32] | None = None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, rows: slice) -> "Split":
        groups = None if self.groups is None else self.groups[rows]
        soft = None if self.soft_labels is None else self.soft_labels[rows]
        return Split(self.images[rows], self.labels[rows], groups, soft)

    def digest(self) -> str:
        """Return the SHA-256 of the images' and then the labels' bytes (int64, little endian).

        Soft labels (float32, little endian) come behind these where there are some.
        """
        sha = hashlib.sha256(np.ascontiguousarray(self.images).data)
        sha.update(np.ascontiguousarray(self.labels, "<i8").data)
        if self.soft_labels is not None:
            sha.update(np.ascontiguousarray(self.soft_labels, "<f4").data)
        return sha.hexdigest()


def save(split: Split, path: Path) -> None:
    """Write ``split`` as an npz file, complete or not at all."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_aside(path) as file:
        write_split(split, file)


def write_split(split: Split, file: BinaryIO) -> None:
    """Write ``split`` into an open file, as `save` does."""
    if split.groups is None:
        np.savez(file, images=split.images, labels=split.labels)
    else:
        np.savez(file, images=split.images, labels=split.labels, groups=split.groups)


def load(path: Path) -> Split:
    """Read what ``save`` wrote.

    Raises
    ------
    RefusedError
        If it is not that.
    """
    arrays = read_arrays(path)
    if not {"images", "labels"} <= arrays.keys():
        raise RefusedError(f"{path} has no arrays 'images' and 'labels'; a data set's file has.")
    return Split(arrays["images"], arrays["labels"], arrays.get("groups"))
