"""How much a model computes at once, and how much may wait for it."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Limits:
    """How much is computed at once, and how much may wait.

    Attributes
    ----------
    max_batch_size, max_queue_size
        In images.
    max_idle_share
        The largest part of the time that work for idle moments may take.
    """

    max_batch_size: int = 64
    max_queue_size: int = 1024
    max_idle_share: float = 0.01


DEFAULT_LIMITS = Limits()
