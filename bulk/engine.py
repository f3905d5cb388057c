"""Who works through pieces: this process, or whatever else can be handed what one worker does."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

P = TypeVar("P")
R = TypeVar("R")

Make = Callable[[], Callable[[P], R]]
"""Makes a worker; it can be pickled, and so can what the worker is given and returns."""

Split = Callable[[P], Sequence[P]]
"""Cuts a piece into smaller ones; one that cannot be cut is returned alone."""


@dataclass(frozen=True)
class Lost:
    """What became of a piece that no worker survived: a sentence that says so."""

    sentence: str


class Engine(Protocol):
    """Has pieces worked through."""

    def run(
        self, make: Make[P, R], pieces: Sequence[P], split: Split[P] | None = None
    ) -> Iterator[tuple[P, R | Lost]]:
        """Yield each piece with its result, in their order.

        A piece that ends its workers is cut, and its parts come last: one that is lost, when all
        others are done, is one that cannot be cut.

        Raises
        ------
        Exception
            What a worker raises.
        """


class Here:
    """This process, one piece after the other."""

    def run(
        self, make: Make[Any, Any], pieces: Sequence[Any], split: Split[Any] | None = None
    ) -> Iterator[tuple[Any, Any]]:
        """Yield each piece with its result; who ends this process ends the run."""
        work = make()
        for piece in pieces:
            yield piece, work(piece)
