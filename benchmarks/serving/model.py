"""The model file that everybody serves, and images with the labels that its bare session gives."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artifact.audit_set import load_audit_set
from artifact.card import Card
from artifact.contract import INPUT, PROBABILITIES, Images
from artifact.layout import AUDIT_FILE, MODEL_FILE
from imaging import decode, fit
from service.engine.providers import CPU, start
from service.repository.local import open_model
from service.settings import Settings

DIGITS = 32


@dataclass(frozen=True)
class ModelUnderTest:
    """What is served: the file, its card, its session, and some images with their labels.

    Attributes
    ----------
    files
        The image files that the images were decoded from, if they were.
    """

    file: Path
    card: Card
    threads: int
    session: Any
    images: NDArray[np.uint8]
    labels: list[int]
    files: Sequence[bytes] = ()

    @property
    def repository(self) -> Path:
        """The folder that holds the model's folder."""
        return self.file.parents[2]


def open_model_under_test(
    file: Path, threads: int | None, files: Sequence[bytes] = ()
) -> ModelUnderTest:
    """Open ``<repository>/<name>/<version>/model.onnx``.

    Parameters
    ----------
    files
        Image files to ask about; else some of its audit set are.

    Raises
    ------
    ConfigurationError
        If it lies in no model repository, or is not what its card says.
    """
    file = file.resolve()
    name, version = file.parts[-3:-1]
    settings = Settings(device="cpu", repository=file.parents[2], threads=threads)
    served = open_model(f"{name}/{version}", settings)
    threads = served.session.threads
    session = start(served.read_graph(), CPU, threads)
    if files:
        images = np.stack([decoded(file, served.card) for file in files])
    else:
        images = load_audit_set(served.folder / AUDIT_FILE).images[:DIGITS]
    (probabilities,) = session.run([PROBABILITIES], {INPUT: images})
    labels = [int(label) for label in probabilities.argmax(-1)]
    served.session.close()
    return ModelUnderTest(
        served.folder / MODEL_FILE, served.card, threads, session, images, labels, files
    )


def decoded(file: bytes, card: Card) -> Images:
    """Return an image file as the model takes it, [C, H, W]."""
    return fit(decode(file, card.input.channels), card.input.fit)
