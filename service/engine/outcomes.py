"""From the result of a batch back to those who asked: dealt by rows, delivered to their loops."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

from service.engine.errors import ComputeError, DeadlineError, EngineError
from service.engine.queue import Inference, Request, Slice

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
