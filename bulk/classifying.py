"""Images are classified where they are read: what travels is a piece there, and answers back."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np

from artifact.card import InputSpec
from bulk.engine import Engine, Lost
from bulk.pieces import Piece
from bulk.reading import read_fitted
from service.engine import Inference, Session

_EACH: Final = 4
"""Pieces that a worker has at least, so that all end at about the same time."""

_MOST: Final = 1024
"""Images of a piece: what is worked through anew if its worker is killed."""


@dataclass(frozen=True)
class Answered:
    """What became of a piece.

    Attributes
    ----------
    names
        Where each of its images is.
    errors
        By its place in the piece, why an image has no answer.
    inference
        What the model says of the others, in their order; None where there are none.
    """

    names: tuple[str, ...]
    errors: dict[int, str]
    inference: Inference | None


class Classify:
    """A worker that holds a session.

    Parameters
    ----------
    opened
        Opens the model.
    batch_size
        How many images are classified at once: those that can be read of so many.
    """

    def __init__(
        self, opened: Callable[[], Session], spec: InputSpec, max_pixels: int, batch_size: int
    ) -> None:
        self._session = opened()
        self._spec, self._max_pixels, self._batch_size = spec, max_pixels, batch_size

    def __call__(self, piece: Piece) -> Answered:
        """Read, decode, fit and classify a piece's images."""
        errors: dict[int, str] = {}
        found: list[Inference] = []
        with closing(read_fitted(piece, self._spec, self._max_pixels)) as images:
            place = 0
            while some := list(islice(images, self._batch_size)):
                errors |= {place + i: one for i, one in enumerate(some) if isinstance(one, str)}
                if read := [one for one in some if not isinstance(one, str)]:
                    found.append(self._session.run(np.concatenate(read)))
                place += len(some)
        together = Inference(*map(np.concatenate, zip(*found, strict=True))) if found else None
        return Answered(tuple(piece.names()), errors, together)


def classify_pieces(
    pieces: Sequence[Piece], engine: Engine, make: Callable[[], Classify]
) -> Iterator[Answered]:
    """Yield what becomes of each piece, in their order; what no worker survives comes last."""
    for piece, result in engine.run(make, pieces, lambda piece: list(piece.parts())):
        if isinstance(result, Lost):
            yield Answered(tuple(piece.names()), {0: f"{result.sentence}."}, None)
        else:
            yield result


def piece_size(count: int, batch_size: int, workers: int) -> int:
    """How many images a piece has: whole batches, and enough pieces for all workers."""
    batches = -(-count // (batch_size * workers * _EACH))
    return batch_size * max(1, min(batches, _MOST // batch_size))
