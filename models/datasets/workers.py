"""Image files that several processes read, in order.

This module and what it imports is all that such a process loads: neither PyTorch nor a run.
"""

import hashlib
import multiprocessing
import signal
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, Literal, TypeVar

import numpy as np
from numpy.typing import NDArray
from pebble import ProcessExpired, ProcessPool

from imaging import FitPolicy, ImageError, decode, fit, grid_symmetries
from imaging.files import MOST_IMAGE, FileRefusedError, read_file
from imaging.process import end_with_parent, start_fork_server
from imaging.refusal import RefusedError

FILES_A_PROCESS = 64
"""Files that repay the start of a process, about a third of a second."""

_AHEAD = 4
"""Files a process that are asked for before the first of them is taken."""

_D4: Final = grid_symmetries("D4")

_T = TypeVar("_T")


@dataclass(frozen=True)
class Unreadable:
    """Why a file cannot be read as an image, in words that go on after its name."""

    reason: str


@dataclass(frozen=True)
class Look:
    """What an image is.

    Attributes
    ----------
    size
        Width and height in pixels.
    coloured
        Whether it has a pixel that is not grey.
    digest
        The SHA-256 of its size and pixels.
    orbit_digest
        The same of whichever of its quarter turns and mirror images comes first, which all of them
        have in common.
    """

    size: tuple[int, int]
    coloured: bool
    digest: str
    orbit_digest: str


@dataclass(frozen=True)
class Looking:
    """Decodes a file to say what it holds."""

    white_level: int | None

    def __call__(self, path: Path) -> Look | Unreadable:
        """Decode the file."""
        image = _decoded(path, 3, self.white_level)
        if isinstance(image, Unreadable):
            return image
        coloured = bool((image != image[:1]).any())
        size = image.shape[2], image.shape[1]
        return Look(size, coloured, _digest(image), _digest(first_of_orbit(image)))


@dataclass(frozen=True)
class Fitting:
    """Decodes a file and fits it to a network's input: uint8 ``[C, size, size]``."""

    channels: Literal[1, 3]
    policy: FitPolicy
    white_level: int | None

    def __call__(self, path: Path) -> NDArray[np.uint8] | Unreadable:
        """Decode and fit the file."""
        image = _decoded(path, self.channels, self.white_level)
        return image if isinstance(image, Unreadable) else fit(image, self.policy)


def first_of_orbit(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return the first of the quarter turns and mirror images of an image, uint8 [C, H, W].

    The order is that of their rows' bytes; of an oblong image the ones that lie count.
    """
    left = [turned for g in _D4 if (turned := g(image)).shape[1] <= turned.shape[2]]
    for row in range(left[0].shape[1]):
        rows = [turned[:, row].tobytes() for turned in left]
        first = min(rows)
        left = [turned for turned, each in zip(left, rows, strict=True) if each == first]
        if len(left) == 1:
            break
    return left[0]


def each(
    function: Callable[[Path], _T | Unreadable], files: Sequence[Path], processes: int
) -> Iterator[_T | Unreadable]:
    """Yield what ``function`` makes of each file, in order, by at most so many processes.

    A file that ends the process which reads it is unreadable, and the others are read on. Few files
    are read here.

    Raises
    ------
    RefusedError
        If no process can be started.
    """
    processes = min(processes, len(files) // FILES_A_PROCESS)
    if processes < 2:
        yield from map(function, files)
        return
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__])
    start_fork_server()
    pool = ProcessPool(processes, initializer=_begin, context=context)
    try:
        yield from _in_order(partial(pool.schedule, function), files, processes * _AHEAD)
    except BrokenProcessPool as error:
        raise RefusedError(
            "The processes that read the images cannot be started, or were ended; more memory, or "
            "fewer of them by --workers 1, is what may help."
        ) from error
    finally:
        pool.stop()  # type: ignore[no-untyped-call]
        pool.join()


def _in_order(
    schedule: Callable[..., Future[_T | Unreadable]], files: Sequence[Path], ahead: int
) -> Iterator[_T | Unreadable]:
    asked: deque[Future[_T | Unreadable]] = deque()
    rest = iter(files)
    for path in rest:
        asked.append(schedule(args=(path,)))
        if len(asked) == ahead:
            yield _outcome(asked.popleft())
    while asked:
        yield _outcome(asked.popleft())


def _outcome(future: Future[_T | Unreadable]) -> _T | Unreadable:
    try:
        return future.result()
    except ProcessExpired as error:
        return Unreadable(f"it ends the process that decodes it, with status {error.exitcode}")


def _decoded(
    path: Path, channels: Literal[1, 3], white_level: int | None
) -> NDArray[np.uint8] | Unreadable:
    try:
        return decode(read_file(path, MOST_IMAGE), channels, white_level=white_level)
    except ImageError as error:
        return Unreadable(error.reason.replace("-", " "))
    except FileRefusedError as error:
        return Unreadable(str(error))


def _digest(image: NDArray[np.uint8]) -> str:
    return hashlib.sha256(repr(image.shape).encode() + image.tobytes()).hexdigest()


def _begin() -> None:
    """Leave Ctrl-C to the parent, and end as soon as it says so, within a decoder too."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_with_parent()
