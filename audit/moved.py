"""What is left of a measurement without the images that a rotation leaves as they are.

An image that is the same under all that is tried keeps its label whatever the model is: it is one
of the images, and shows nothing. One that only the half turn leaves as it is, as stripes, shows
nothing of the half turn: a model that tells up from down finds neither in it. What is nearly the
same shows little.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audit.statistics import chance_agreement, clopper_pearson
from audit.units import Units
from imaging import GridSymmetry

_IDENTITY: Final = GridSymmetry(False, 0)

STILL: Final = 2
"""By how many of 255 grey levels a pixel may differ in images that count as the same: less than the
noise of a camera. Who judges by so little was not asked anything."""


def moved_images(
    images: NDArray[np.uint8], elements: Sequence[GridSymmetry], still: int = STILL
) -> NDArray[np.bool_]:
    """Whether each symmetry changes a pixel by more than `still`: uint8 [N, C, H, W] to bool [N].

    It is enough that one of its conjugates does, `h^-1 g h` for an element `h`: that is what `g`
    does to the image under `h`, which is asked about as well. So a face is enough for both mirror
    images of D4, though its two halves are alike.

    Parameters
    ----------
    elements
        A group.
    """
    kinds = {frozenset(h.inverse() @ g @ h for h in elements) for g in elements if g != _IDENTITY}

    def moves(image: NDArray[np.uint8], kind: frozenset[GridSymmetry]) -> bool:
        return any(_differ(element(image), image, still) for element in kind)

    return np.array([all(moves(image, kind) for kind in kinds) for image in images], np.bool_)


def _differ(a: NDArray[np.uint8], b: NDArray[np.uint8], still: int) -> bool:
    return bool((np.maximum(a, b) - np.minimum(a, b) > still).any())


@dataclass(frozen=True)
class Moved:
    """Units that every rotation changes.

    Attributes
    ----------
    images, agreeing
        How many there are, and how many of them keep their label.
    classes
        The same of each class that has any.
    chance
        What part of their labels, upright, a rotation would keep if it drew them anew.
    """

    images: int
    agreeing: int
    classes: dict[int, tuple[int, int]]
    chance: float = 0.0

    @classmethod
    def of(
        cls,
        moved: NDArray[np.bool_],
        agrees: NDArray[np.bool_],
        units: Units,
        classes: tuple[NDArray[np.int64], NDArray[np.bool_]],
        upright: NDArray[np.int64],
    ) -> "Moved":
        """Count units; `classes` has the class of each unit that moves in it, and if it agrees.

        Upright images have the labels int64 [N].
        """
        places = np.flatnonzero(moved)
        moves = ~units.all(~moved)
        labels, kept = classes
        return cls(
            int(moves.sum()),
            int((moves & units.all(agrees)).sum()),
            {
                int(label): (int((labels == label).sum()), int(kept[labels == label].sum()))
                for label in np.unique(labels)
            },
            chance_agreement(upright[places], units.among(places).weights),
        )

    def shown(self, confidence: float, label: int | None = None) -> float:
        """At least how large a part of all such images keeps its label, or of those of a class."""
        images, agreeing = (
            (self.images, self.agreeing) if label is None else self.classes.get(label, (0, 0))
        )
        return clopper_pearson(agreeing, images, confidence).low if images else 0.0
