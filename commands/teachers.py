"""What a network is told to learn from: a run, or a model as it is deployed."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray

from audit.labels import refuse_several_labels
from commands.audit.target import open_target
from commands.reading import settings_of_a_command
from imaging import RefusedError
from models.checkpoint import Run
from models.teachers import TrainedTeacher, teacher_of

if TYPE_CHECKING:
    from models.targets import Teacher


def open_teacher(place: str, until: ExitStack) -> TrainedTeacher:
    """Open the folder of a run, a file that ends in `.onnx`, or `<name>` or `<name>/<version>`.

    A model is asked about images of whole grey levels, to which those that are between are rounded,
    and on the CPU unless ORBITSERVE_DEVICE says otherwise.

    Parameters
    ----------
    until
        Closes a model at its end.

    Raises
    ------
    ValueError
        If there is no such thing, or it cannot teach.
    """
    if Run.is_in(Path(place)):  # and no folder of images, which may be called as a model is
        return teacher_of(Run.open(Path(place)))
    if place.startswith(("http://", "https://")):
        raise RefusedError(f"A teacher is a run, a file or a model of the repository, not {place}.")
    target = open_target(place, settings_of_a_command(None))
    under_test = target.under_test
    until.callback(under_test.close)
    identity = under_test.identity
    refuse_several_labels(identity.multi_label, target.name, "teachers")

    def classify(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        most = under_test.batch_size
        parts = [images[start : start + most] for start in range(0, len(images), most)]
        return np.concatenate([under_test.classify(part) for part in parts])

    classes = classify(np.zeros((1, *target.spec.shape), np.uint8)).shape[1]
    return TrainedTeacher(
        target.name,
        target.spec.shape,
        classes,
        identity.classes,
        identity.sha256,
        lambda device: _asking(classify),
    )


def _asking(classify: Callable[[NDArray[np.uint8]], NDArray[np.float32]]) -> "Teacher":
    def answer(x: torch.Tensor) -> torch.Tensor:
        images = x.round().clamp(0, 255).to("cpu", torch.uint8).numpy()
        return torch.from_numpy(classify(images)).to(x.device).softmax(1)

    return answer
