"""A named set of labelled images, split into those to train and those to test."""

from dataclasses import dataclass

from imaging import FitPolicy
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
    choice
        Images that are neither trained on nor tested on, for choices between networks and recipes,
        if the data set has any.
    """

    name: str
    classes: tuple[str, ...]
    licence: str
    sha256: str
    fit: FitPolicy
    train: Split
    test: Split
    choice: Split | None = None
    white_level: int | None = None
