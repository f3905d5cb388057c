"""What is asked about the images of an audit: which of them, rotated how.

A question is a small value, so that it can be sent to where the images and the model are.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import ClassVar, Final, Protocol

import numpy as np
from numpy.typing import NDArray

from imaging import GridSymmetry

_IDENTITY: Final = GridSymmetry(False, 0)

Places = slice | NDArray[np.int64]
"""Which images: all of them, uint8 [N, C, H, W], are known to whoever is asked."""


class Question(Protocol):
    """What is done to some images before they are classified.

    Its pickle has all of it, so that what was asked before can be told by that.
    """

    @property
    def calls(self) -> int:
        """How many batches it is."""

    def batches(self, images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
        """Yield what is classified, each in one call, from all images uint8 [N, C, H, W]."""


Workers = Callable[[Iterable[Question]], Iterator[NDArray[np.float32]]]
"""Whoever else knows the images and the model: from questions to the logits [N, K] of their
batches, in their order, whichever was answered first."""


@dataclass(frozen=True, eq=False)
class OnGrid:
    """Images under a symmetry of the pixel grid; by default as they are."""

    places: Places
    element: GridSymmetry = _IDENTITY
    calls: ClassVar[int] = 1

    def batches(self, images: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
        """Yield them, in one batch."""
        yield self.element(images[self.places])
