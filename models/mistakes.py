"""The test images that a network labels wrong: which files, what it takes them for, how surely."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from imaging.files import in_utf8
from imaging.tables import to_csv
from models.datasets.data_set import DataSet
from models.networks import Network

_LISTED = 20


@dataclass(frozen=True)
class Mistake:
    """A test image with a wrong label.

    Attributes
    ----------
    file
        As seen from the folder of images, or the image's place among the test images.
    image : uint8 [C, H, W]
        As the network saw it.
    true, given
        Indices of classes.
    probability
        Of the label that was given.
    """

    file: str
    image: NDArray[np.uint8]
    true: int
    given: int
    probability: float


def find_mistakes(network: Network, data: DataSet, given: NDArray[np.int64]) -> list[Mistake]:
    """Return the test images of ``data`` whose labels ``given`` are wrong, the surest first."""
    rows = np.nonzero(given != data.test.labels)[0]
    found = []
    for row in rows.tolist():
        image, label = data.test.images[row], int(given[row])
        file = in_utf8(data.test_files[row].as_posix()) if data.test_files else f"test image {row}"
        found.append(
            Mistake(
                file=file,
                image=image,
                true=int(data.test.labels[row]),
                given=label,
                probability=_probability(network, image, label),
            )
        )
    return sorted(found, key=lambda mistake: -mistake.probability)


def listed(mistakes: Sequence[Mistake], classes: Sequence[str]) -> Iterator[str]:
    """Say which files are labelled wrong: the surest ones, and how many there are beside them."""
    for found in mistakes[:_LISTED]:
        yield (
            f"wrong: {found.file} is {classes[found.true]}, labelled {classes[found.given]} "
            f"({100 * found.probability:.0f} %)"
        )
    if len(mistakes) > _LISTED:
        yield f"wrong: {len(mistakes) - _LISTED} more, which wrong.csv of the run lists"


def mistakes_table(mistakes: Sequence[Mistake], classes: Sequence[str]) -> bytes:
    """Return a line of CSV for each mistake, numbered as in their picture."""
    rows = [
        (i, found.file, classes[found.true], classes[found.given], round(found.probability, 4))
        for i, found in enumerate(mistakes, start=1)
    ]
    return to_csv([("number", "file", "true class", "label given", "probability"), *rows])


def confusion_table(matrix: NDArray[np.int64], classes: Sequence[str]) -> bytes:
    """Return a confusion matrix as CSV: a row a true class, a column a label given."""
    rows = [
        (i, name, *counts.tolist())
        for i, (name, counts) in enumerate(zip(classes, matrix, strict=True), start=1)
    ]
    return to_csv([("number", "true class", *classes), *rows])


def _probability(network: Network, image: NDArray[np.uint8], label: int) -> float:
    device = next(network.parameters()).device
    with torch.inference_mode():
        logits = network.eval()(torch.from_numpy(image[None]).to(device))
    return float(logits.softmax(1)[0, label])
