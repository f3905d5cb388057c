"""An image as it lies in a request, before it is decoded: the currency of the codecs."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import numpy.typing as npt

from service.errors import TooLargeError


@dataclass(frozen=True)
class Part:
    """One image of a request.

    Attributes
    ----------
    content
        The bytes of an image file, or pixels uint8 [C, H, W].
    where
        The image's place in the request, to name it in an error; empty if it is the whole body.
    file
        What its sender calls it; empty if nothing.
    field
        The field of the form that it was sent in; empty where there is no form.
    """

    content: bytes | npt.NDArray[np.uint8]
    where: str = ""
    file: str = ""
    field: str = ""


class Scores(Protocol):
    """What a model says about N images: two arrays float32 [N, K]."""

    @property
    def logits(self) -> npt.NDArray[np.float32]:
        """Before the softmax, or the sigmoid."""

    @property
    def probabilities(self) -> npt.NDArray[np.float32]:
        """After it."""


def check_count(images: int, max_images: int, what: str = "images") -> None:
    """Refuse a request of too many images; to be asked before anything is built for each.

    Raises
    ------
    TooLargeError
        If they are more than are accepted.
    """
    if images > max_images:
        raise TooLargeError(
            f"The request holds {images} {what}; at most {max_images} are accepted."
        )
