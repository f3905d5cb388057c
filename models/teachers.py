"""Trained networks that teach others."""

from collections.abc import Callable
from dataclasses import dataclass

import torch

from models.checkpoint import Run
from models.targets import Teacher


@dataclass(frozen=True)
class TrainedTeacher:
    """What is to teach, and not yet opened.

    Attributes
    ----------
    name
        What a sentence calls it.
    shape
        Of the images that it sees: channels, height, width.
    classes, names
        How many there are, and what they are called, where that is known, in the order of its
        probabilities.
    sha256
        The digest of its weights, or of its file.
    open
        Opens what has this digest, to answer tensors of a device.
    """

    name: str
    shape: tuple[int, int, int]
    classes: int
    names: tuple[str, ...]
    sha256: str
    open: Callable[[torch.device | None], Teacher]


def teacher_of(run: Run) -> TrainedTeacher:
    """Return the network of a run as a teacher.

    Raises
    ------
    RefusedError
        If the run is not over.
    """
    spec, sha256 = run.network().spec, run.weights_sha256()

    def opened(device: torch.device | None) -> Teacher:
        network = run.network(sha256).to(device)
        return lambda x: network(x).float().softmax(1)

    return TrainedTeacher(
        f"the network of {run.folder}",
        (spec.channels, spec.size, spec.size),
        spec.classes,
        run.info.classes,
        sha256,
        opened,
    )
