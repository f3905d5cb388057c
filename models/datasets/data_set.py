"""A named set of labelled images, split into those to train and those to test."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from imaging import FitPolicy
from models.datasets.parts import nearest_boundary
from models.datasets.split import Split


@dataclass(frozen=True)
class DataSet:
    """What a training run needs to know of its data.

    Attributes
    ----------
    sha256
        The digest of training images followed by test images, as ``Split.digest`` defines it.
    fit
        How the images came to their size; a served image has to come to it likewise.
    white_level
        The white of images of more than 8 bits, as ``imaging.decode`` takes it.
    validation
        Images by which networks and recipes are chosen, which are neither trained on nor tested
        on, if the data set has any.
    parts : int64 [N], or None
        Which training images show the same part, as neighbours; None if each shows another.
    test_files
        The files of the test images, where these are files of their own.
    """

    name: str
    classes: tuple[str, ...]
    licence: str
    sha256: str
    fit: FitPolicy
    train: Split
    test: Split
    validation: Split | None = None
    white_level: int | None = None
    parts: NDArray[np.int64] | None = None
    test_files: tuple[Path, ...] = ()

    def held_out(self, images: int) -> int:
        """Return how many of the last training images are nearest to so many and split no part."""
        return images if self.parts is None else nearest_boundary(self.parts, images)
