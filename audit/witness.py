"""What a model was shown and what it answered, for the images that speak most against it."""

import base64
from typing import Final

import numpy as np
from numpy.typing import NDArray

from artifact.values import Value
from imaging import png

WITNESSES: Final = 10
"""So many images at most, the worst ones, are shown with their answers."""

_SHOWN_CHANNELS: Final = (1, 3)


class Witness(Value):
    """One image upright and turned, as the model saw it, and both answers.

    Attributes
    ----------
    upright_logits, turned_logits
        One for each class.
    upright_png, turned_png
        The pictures, as base64 of PNG files; images of more than 96 pixels a side are shrunk. None
        where pictures are not wanted, or images have neither one nor three channels.
    """

    upright_logits: tuple[float, ...]
    turned_logits: tuple[float, ...]
    upright_png: str | None = None
    turned_png: str | None = None


def witness(
    upright: NDArray[np.uint8],
    turned: NDArray[np.uint8],
    upright_logits: NDArray[np.float32],
    turned_logits: NDArray[np.float32],
    *,
    pictures: bool,
) -> Witness:
    """Note two images uint8 [C, n, n] and their logits float32 [K]."""
    shown = pictures and len(upright) in _SHOWN_CHANNELS
    return Witness(
        upright_logits=tuple(map(float, upright_logits)),
        turned_logits=tuple(map(float, turned_logits)),
        upright_png=_base64(upright) if shown else None,
        turned_png=_base64(turned) if shown else None,
    )


def _base64(image: NDArray[np.uint8]) -> str:
    return base64.b64encode(png(image)).decode()
