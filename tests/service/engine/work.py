"""Batchers whose graph says nothing, and idle work that notes what becomes of it."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from artifact.contract import Images
from service.engine import IdleDrop, Inference, Limits
from service.engine.batcher import Batcher


def blank(rows: int = 1) -> Images:
    return np.zeros((rows, 1, 1, 1), np.uint8)


def answer(parts: Sequence[Images]) -> Inference:
    rows = sum(map(len, parts))
    return Inference(np.zeros((rows, 2), np.float32), np.zeros((rows, 2), np.float32))


class Work:
    """Notes what becomes of it; `check` is called when it starts."""

    def __init__(self, check: Callable[[], object] = lambda: None) -> None:
        self.check = check
        self.ends: list[str] = []
        self.errors: list[Exception | None] = []

    def images(self) -> Images:
        self.check()
        return blank()

    def ran(self, result: Inference) -> None:
        assert len(result.logits) == 1
        self.ends.append("ran")

    def dropped(self, reason: IdleDrop, error: Exception | None = None) -> None:
        self.ends.append(reason)
        self.errors.append(error)


def stepped(compute: Any = answer, **options: Any) -> Batcher:
    return Batcher(compute, lambda: None, Limits(1, 64, max_idle_share=1.0), **options)


def on_the_event_loop(**options: Any) -> Batcher:
    """A batcher that computes lone requests where they came in."""
    batcher = Batcher(answer, lambda: None, Limits(max_idle_share=1.0), on_cpu=True, **options)
    batcher._seconds_per_row = 1e-6
    return batcher
