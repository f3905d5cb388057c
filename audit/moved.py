"""What is left of a measurement without the images that no rotation changes.

An image that is the same under all that is tried keeps its label whatever the model is: it is one
of the images, and shows nothing. One that is nearly the same shows little.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audit.statistics import clopper_pearson
from audit.units import Units
from imaging import GridSymmetry

STILL: Final = 2
"""By how many of 255 grey levels a pixel may differ in images that count as the same: less than the
noise of a camera. Who judges by so little was not asked anything."""


def moved_images(
    images: NDArray[np.uint8], elements: Sequence[GridSymmetry], still: int = STILL
) -> NDArray[np.bool_]:
    """Whether an element changes a pixel by more than `still`: uint8 [N, C, H, W] to bool [N]."""

    def moves(image: NDArray[np.uint8], element: GridSymmetry) -> bool:
        return bool((np.abs(element(image).astype(np.int16) - image) > still).any())

    return np.array([any(moves(image, element) for element in elements) for image in images])


@dataclass(frozen=True)
class Moved:
    """Units that a rotation changes.

    Attributes
    ----------
    images, agreeing
        How many there are, and how many of them keep their label.
    classes
        The same of each class that has any.
    """

    images: int
    agreeing: int
    classes: dict[int, tuple[int, int]]

    @classmethod
    def of(
        cls,
        moved: NDArray[np.bool_],
        agrees: NDArray[np.bool_],
        units: Units,
        classes: tuple[NDArray[np.int64], NDArray[np.bool_]],
    ) -> "Moved":
        """Count units; `classes` has the class of each unit that moves in it, and if it agrees."""
        moves = ~units.all(~moved)
        labels, kept = classes
        return cls(
            int(moves.sum()),
            int((moves & units.all(agrees)).sum()),
            {
                int(label): (int((labels == label).sum()), int(kept[labels == label].sum()))
                for label in np.unique(labels)
            },
        )

    def shown(self, confidence: float, label: int | None = None) -> float:
        """At least how large a part of all such images keeps its label, or of those of a class."""
        images, agreeing = (
            (self.images, self.agreeing) if label is None else self.classes.get(label, (0, 0))
        )
        return clopper_pearson(agreeing, images, confidence).low if images else 0.0
