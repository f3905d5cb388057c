"""What a worker makes of the images of a piece before they are classified."""

from collections.abc import Generator
from functools import partial
from typing import Final

from artifact.card import InputSpec
from artifact.contract import Images
from bulk.pieces import Load, Piece
from service.decoding.files import fitted, in_advance

_THREADS: Final = 4
"""On which objects are waited for, beside what is decoded."""

_AHEAD: Final = 64
"""Images that are read in advance."""


def read_fitted(
    piece: Piece, spec: InputSpec, max_pixels: int
) -> Generator[Images | str, None, None]:
    """Yield each image of a piece, uint8 [1, C, H, W], or why there is none."""
    reads = (partial(_fitted, load, spec, max_pixels) for load in piece.loads())
    return in_advance(reads, threads=_THREADS, ahead=_AHEAD)


def _fitted(load: Load, spec: InputSpec, max_pixels: int) -> Images | str:
    data = load()
    return data if isinstance(data, str) else fitted(data, spec, max_pixels)
