"""What a model was shown and what it answered, for the images that speak most against it."""

import base64
from typing import Annotated, Final, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from artifact.values import Value
from imaging import png

COUNTEREXAMPLES: Final = 10
"""So many images at most, the worst ones, are shown with their answers."""

_SHOWN_CHANNELS: Final = (1, 3)

_MOST: Final = float(np.finfo(np.float32).max)
Logit = Annotated[float, Field(ge=-_MOST, le=_MOST)]
"""One of float32."""


class Counterexample(Value):
    """One image upright and rotated, as the model saw it, and both answers.

    Attributes
    ----------
    upright_logits, rotated_logits
        One for each class.
    upright_png, rotated_png
        The pictures, as base64 of PNG files; images of more than 96 pixels a side are shrunk. None
        where pictures are not wanted, or images have neither one nor three channels.
    """

    upright_logits: Annotated[tuple[Logit, ...], Field(min_length=1)]
    rotated_logits: tuple[Logit, ...]
    upright_png: str | None = None
    rotated_png: str | None = None

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        upright, rotated = len(self.upright_logits), len(self.rotated_logits)
        if upright != rotated:
            raise ValueError(f"an image has {upright} logits upright and {rotated} rotated")
        return self


def counterexample(
    upright: NDArray[np.uint8],
    rotated: NDArray[np.uint8],
    upright_logits: NDArray[np.float32],
    rotated_logits: NDArray[np.float32],
    *,
    pictures: bool,
) -> Counterexample:
    """Note two images uint8 [C, n, n] and their logits float32 [K]."""
    shown = pictures and len(upright) in _SHOWN_CHANNELS
    return Counterexample(
        upright_logits=tuple(map(float, upright_logits)),
        rotated_logits=tuple(map(float, rotated_logits)),
        upright_png=_base64(upright) if shown else None,
        rotated_png=_base64(rotated) if shown else None,
    )


def _base64(image: NDArray[np.uint8]) -> str:
    return base64.b64encode(png(image)).decode()
