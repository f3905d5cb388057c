"""How much a split gives away: what the training cell that is most like a test cell says of it."""

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import uniform_filter

from models.datasets import elpv
from models.datasets.elpv import Unit

SIZE = 60
"""Pixels: a fifth of the photographs' side."""

_NEAR = 9  # pixels; what is brighter or darker over more than so many is taken out


class Twins(NamedTuple):
    """Parts of the test cells, for each of which the most similar training cell was looked up.

    Attributes
    ----------
    same_module
        Whose most similar training cell is of the same module.
    same_label
        Whose most similar training cell has the same label.
    majority
        Who have the label that most of the test cells have.
    """

    same_module: float
    same_label: float
    majority: float


def twins(split: Unit) -> Twins:
    """Compare every test cell with every training cell of a split."""
    data = elpv.read(SIZE, split)
    cells = elpv.find_cells()
    train, test = cells.split(split)
    alike = _details(data.test.images) @ _details(data.train.images).T
    nearest = train[alike.argmax(1)]
    labels = cells.labels
    share = labels[test].mean()
    return Twins(
        float((cells.module[nearest] == cells.module[test]).mean()),
        float((labels[nearest] == labels[test]).mean()),
        float(max(share, 1 - share)),
    )


def _details(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return each image's fine structure as a vector of length 1: float32 [N, n n]."""
    grey = images[:, 0].astype(np.float32)
    fine = (grey - uniform_filter(grey, (1, _NEAR, _NEAR))).reshape(len(images), -1)
    fine -= fine.mean(1, keepdims=True)
    lengths: NDArray[np.float32] = np.linalg.norm(fine, axis=1, keepdims=True)
    return fine / lengths
