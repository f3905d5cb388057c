"""What waits for a session: requests in their order, counted in rows and bounded.

A row is one image. A batch's result is dealt by rows to those who asked, and delivered to their
event loops. Nothing here locks, computes or knows the time: the batcher does.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from artifact.contract import Images
from service.engine.errors import ComputeError, DeadlineError, EngineError
from service.engine.observer import Timing

Floats = npt.NDArray[np.float32]


class Inference(NamedTuple):
    """What a classifier says about N images: two arrays [N, K]."""

    logits: Floats
    probabilities: Floats

    def finite(self) -> npt.NDArray[np.bool_]:
        """Which of the images [N] got an answer: NaN and infinity rank no classes."""
        said = np.concatenate([self.logits, self.probabilities], axis=1)
        found: npt.NDArray[np.bool_] = np.logical_and.reduce(np.isfinite(said), axis=1)
        return found

    def is_finite(self) -> bool:
        """Whether all of them did."""
        # A sum of squares takes a third of the time, and may itself be too large.
        squares = np.vdot(self.logits, self.logits) + np.vdot(
            self.probabilities, self.probabilities
        )
        return math.isfinite(squares) or bool(self.finite().all())


Compute = Callable[[Sequence[Images]], Inference]
"""Runs a graph over the images of several callers, laid behind one another."""


@dataclass(slots=True, eq=False)
class Request:
    """Images [N, C, H, W] of one caller, and the future that the answer is put into.

    Attributes
    ----------
    since, deadline
        When it came in, and when it is too late, in seconds of the batcher's clock.
    timing
        Where its time goes.
    left
        How many of its rows still wait.
    parts
        Answers to its first rows, where it is larger than a batch.
    """

    images: Images
    future: asyncio.Future[Inference]
    since: float
    deadline: float | None
    timing: Timing = field(default_factory=Timing)
    left: int = field(init=False)
    parts: list[Inference] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.left = len(self.images)

    def add(self, part: Inference) -> Inference | None:
        """Take the answer to the next rows; return the whole answer once it is complete."""
        if not self.parts and len(part.logits) == len(self.images):
            return part
        self.parts.append(part)
        if sum(len(part.logits) for part in self.parts) < len(self.images):
            return None
        return joined(self.parts)


class Slice(NamedTuple):
    """Consecutive rows of a request: its place in one batch."""

    request: Request
    images: Images


class RequestQueue:
    """Requests that wait, first come first served.

    Attributes
    ----------
    capacity
        How many rows may wait.
    rows
        How many do.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self.rows = 0
        self._waiting: deque[Request] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def fits(self, rows: int) -> bool:
        """Whether so many more rows may wait."""
        return self.rows + rows <= self.capacity

    def add(self, request: Request) -> None:
        """Put a request that fits behind the others."""
        self._waiting.append(request)
        self.rows += request.left

    def withdraw(self, request: Request) -> bool:
        """Take a request out, if any of it still waits; return whether it did."""
        if not request.left:
            return False
        self._waiting.remove(request)
        self._forget(request)
        return True

    def clear(self) -> list[Request]:
        """Take all requests out."""
        requests = list(self._waiting)
        for request in requests:
            self.withdraw(request)
        return requests

    def take(
        self, max_batch_size: int, now: float, enough: int | None = None
    ) -> tuple[list[Slice], list[Request]]:
        """Form the next batch, and drop what no one waits for any more.

        A request stays whole unless it is larger than a batch can be. Once there are `enough`
        rows no further request is added.

        Returns
        -------
        The batch, in order, and the requests that are past their deadline.
        """
        batch: list[Slice] = []
        expired: list[Request] = []
        space, spare = max_batch_size, max_batch_size - (enough or max_batch_size)
        while self._waiting and space > spare:
            request = self._waiting[0]
            if request.future.done():  # its caller has gone, and will withdraw it in a moment
                self._forget(self._waiting.popleft())
            elif request.deadline is not None and request.deadline <= now:
                self._forget(self._waiting.popleft())
                expired.append(request)
            elif request.left <= space or len(request.images) > max_batch_size:
                slice_ = self._cut(request, min(request.left, space))
                batch.append(slice_)
                space -= len(slice_.images)
            else:
                break
        return batch, expired

    def _cut(self, request: Request, rows: int) -> Slice:
        start = len(request.images) - request.left
        request.left -= rows
        self.rows -= rows
        if not request.left:
            self._waiting.popleft()
        whole = rows == len(request.images)
        return Slice(request, request.images if whole else request.images[start : start + rows])

    def _forget(self, request: Request) -> None:
        self.rows -= request.left
        request.left = 0


def joined(parts: Sequence[Inference]) -> Inference:
    """Lay answers behind one another; one alone is returned as it is."""
    if len(parts) == 1:
        return parts[0]
    logits, probabilities = zip(*parts, strict=True)
    return Inference(np.concatenate(logits), np.concatenate(probabilities))


Outcome = tuple[Request, Inference | EngineError]


def deal(batch: Sequence[Slice], result: Inference) -> list[Outcome]:
    """Give each request the rows that are its own; one that is not complete yet gets no outcome.

    Raises
    ------
    ValueError
        If there are not as many rows as images.
    """
    rows = sum(len(images) for _, images in batch)
    if not len(result.logits) == len(result.probabilities) == rows:
        raise ValueError(f"the graph answers {len(result.logits)} rows to {rows} images")
    outcomes: list[Outcome] = []
    start = 0
    for request, images in batch:
        end = start + len(images)
        part = Inference(result.logits[start:end], result.probabilities[start:end])
        if (answer := request.add(part)) is not None:
            outcomes.append((request, answer))
        start = end
    return outcomes


def deliver(outcomes: Sequence[Outcome]) -> None:
    """Put outcomes into their futures, from any thread, waking each event loop once."""
    by_loop: dict[asyncio.AbstractEventLoop, list[Outcome]] = {}
    for outcome in outcomes:
        by_loop.setdefault(outcome[0].future.get_loop(), []).append(outcome)
    for loop, group in by_loop.items():
        with suppress(RuntimeError):  # the loop is closed, and whoever waited is gone with it
            loop.call_soon_threadsafe(_settle, group)


def expire(future: asyncio.Future[Inference]) -> None:
    """End a wait on its event loop, unless it has ended."""
    if not future.done():
        future.set_exception(DeadlineError())


def failure(cause: Exception) -> ComputeError:
    """Say that a graph failed, without saying to a client what a runtime says about itself."""
    error = ComputeError("The model failed on these images; the log says why.")
    error.__cause__ = cause
    return error


def _settle(outcomes: Sequence[Outcome]) -> None:
    for request, outcome in outcomes:
        if request.future.done():  # cancelled or expired while its batch ran
            continue
        if isinstance(outcome, EngineError):
            request.future.set_exception(outcome)
        else:
            request.future.set_result(outcome)
