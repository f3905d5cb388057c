"""An audit's images are fitted into one file by all workers, which then rotate and classify them.

What is counted is counted where the audit is, in the order of the images: the workers answer
questions, and a report has the bytes that it has without them.
"""

import os
import platform
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from artifact.card import InputSpec
from audit import Classifier, Progress
from audit.questions import Question
from bulk.engine import Engine, Lost
from bulk.pieces import Piece
from bulk.reading import read_fitted
from bulk.sources import Source
from bulk.temporary import temporary_folder
from imaging import RefusedError

_ASKED: Final = 64
"""Questions that a worker is asked at once: some thousand images."""

_MOVED: Final = 4096
"""Images that are moved at once where some were left out."""

Shape = tuple[int, int, int, int]


@dataclass(frozen=True)
class Store:
    """A file of images, uint8 [N, C, H, W], in a folder that all workers see."""

    path: str
    shape: Shape

    def images(self) -> NDArray[np.uint8]:
        """Map them: memory holds what is looked at.

        Raises
        ------
        RefusedError
            If the file is not there.
        """
        try:
            return np.asarray(np.memmap(self.path, np.uint8, "r", shape=self.shape))
        except FileNotFoundError as error:
            raise self._unseen() from error

    def write(self, first: int, images: NDArray[np.uint8]) -> None:
        """Write images to their places."""
        try:
            file = os.open(self.path, os.O_WRONLY | os.O_CLOEXEC)
        except FileNotFoundError as error:
            raise self._unseen() from error
        try:
            left, place = memoryview(images.tobytes()), first * images[0].nbytes
            while left:
                written = os.pwrite(file, left, place)
                left, place = left[written:], place + written
        except OSError as error:
            raise RefusedError(
                f"The images do not fit into {self.path}: {error.strerror}; --scratch names "
                "another folder for it."
            ) from error
        finally:
            os.close(file)

    def _unseen(self) -> RefusedError:
        return RefusedError(
            f"The worker on {platform.node()} does not see {self.path}; --scratch names a folder "
            "that all machines see."
        )


@contextmanager
def scratch(folder: Path | None) -> Iterator[Path]:
    """A folder for the images of one audit, as `temporary_folder` makes it.

    Raises
    ------
    RefusedError
        If it cannot be made.
    """
    with ExitStack() as stack:
        try:
            made = stack.enter_context(temporary_folder(folder))
        except OSError as error:
            raise RefusedError(f"The folder {folder} cannot be used: {error.strerror}.") from error
        yield made


class Fit:
    """A worker that reads a piece's images and writes them, fitted, to their places."""

    def __init__(self, spec: InputSpec, max_pixels: int, store: Store) -> None:
        self._spec, self._max_pixels, self._store = spec, max_pixels, store

    def __call__(self, piece: Piece) -> dict[int, str]:
        """Return, by its place in the piece, why an image is not there."""
        faults: dict[int, str] = {}
        with closing(read_fitted(piece, self._spec, self._max_pixels)) as images:
            place = 0
            while some := list(islice(images, _ASKED)):
                blank = np.zeros((1, *self._store.shape[1:]), np.uint8)
                faults |= {place + i: one for i, one in enumerate(some) if isinstance(one, str)}
                pixels = [blank if isinstance(one, str) else one for one in some]
                self._store.write(piece.first + place, np.concatenate(pixels))
                place += len(some)
        return faults


@dataclass(frozen=True)
class LeftOut:
    """An image that is not audited, by its number, and why."""

    number: int
    name: str
    why: str

    @property
    def sentence(self) -> str:
        """Which one, and why."""
        return f"{self.name}: {self.why}"


def fit_source(
    source: Source,
    engine: Engine,
    store: Store,
    spec: InputSpec,
    max_pixels: int,
    size: int,
    progress: Progress,
) -> list[LeftOut]:
    """Fit all images into a file; return those that cannot be read, in their order."""
    with Path(store.path).open("wb") as file:
        file.truncate(int(np.prod(store.shape, dtype=np.int64)))
    left_out, done = list[LeftOut](), 0
    make = partial(Fit, spec, max_pixels, store)
    pieces = list(source.pieces(size))
    for piece, result in engine.run(make, pieces, lambda piece: list(piece.parts())):
        faults = {0: f"{result.sentence}."} if isinstance(result, Lost) else result
        if faults:
            names = list(piece.names())
            left_out += [LeftOut(piece.first + i, names[i], why) for i, why in faults.items()]
        done += len(piece)
        progress(done, len(source))
    return sorted(left_out, key=lambda each: each.number)


def without(store: Store, places: Sequence[int]) -> Store:
    """Close the gaps that images leave that could not be read; return the file of the others."""
    count = store.shape[0]
    kept = np.setdiff1d(np.arange(count), np.asarray(places, np.int64), assume_unique=True)
    images = np.memmap(store.path, np.uint8, "r+", shape=store.shape)
    for start in range(0, len(kept), _MOVED):
        some = kept[start : start + _MOVED]
        if some[-1] != start + len(some) - 1:
            images[start : start + len(some)] = images[some]
    images.flush()
    return Store(store.path, (len(kept), *store.shape[1:]))


class Ask:
    """A worker that holds a model and the images, and answers questions about them."""

    def __init__(self, opened: Callable[[], Classifier], store: Store) -> None:
        self._classify, self._images = opened(), store.images()

    def __call__(self, questions: Sequence[Question]) -> list[NDArray[np.float32]]:
        """Return the logits of all batches."""
        return [
            self._classify(np.ascontiguousarray(batch))
            for question in questions
            for batch in question.batches(self._images)
        ]


class AuditWorkers:
    """The workers of an audit: what `ModelUnderTest.workers` is.

    Parameters
    ----------
    opened
        Opens the model.
    store
        Has the images.
    at_once
        How many questions a worker is asked at a time.
    """

    def __init__(
        self,
        engine: Engine,
        opened: Callable[[], Classifier],
        store: Store,
        at_once: int = _ASKED,
    ) -> None:
        self._engine, self._make = engine, partial(Ask, opened, store)
        self._at_once = at_once

    def __call__(self, questions: Iterable[Question]) -> Iterator[NDArray[np.float32]]:
        """Yield the logits of all batches, in the order of the questions.

        Raises
        ------
        RefusedError
            If some questions ended every worker that was asked.
        """
        following = iter(questions)
        pieces = list(iter(lambda: tuple(islice(following, self._at_once)), ()))
        for due, (piece, result) in zip(pieces, self._engine.run(self._make, pieces), strict=True):
            if piece is not due:
                raise RuntimeError("The engine has answered in another order than it was asked.")
            if isinstance(result, Lost):
                raise RefusedError(
                    f"A part of the audit cannot be done: {result.sentence[0].lower()}"
                    f"{result.sentence[1:]}; fewer workers at once have more memory each."
                )
            yield from result
