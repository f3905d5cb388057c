"""What a proof may take: time and memory, checked before either is spent."""

import time
from dataclasses import dataclass, field

from imaging.refusal import RefusedError

MEBIBYTE = 2**20


class ProofLimitError(RefusedError):
    """A proof would take more time or memory than it may; the file may be invariant or not."""


@dataclass(frozen=True)
class Limits:
    """What one proof may take.

    Attributes
    ----------
    seconds
        Of wall time.
    memory
        Bytes of what the proof builds, besides the file itself.
    """

    seconds: float = 60.0
    memory: int = 2048 * MEBIBYTE

    def begin(self) -> "Budget":
        """Start the clock."""
        return Budget(self, time.monotonic() + self.seconds)


DEFAULT_LIMITS = Limits()


@dataclass
class Budget:
    """What is left of the limits while a proof runs.

    Attributes
    ----------
    held
        Bytes of the tensors that are still needed.
    """

    limits: Limits
    end: float
    held: int = field(default=0)

    def check(self) -> None:
        """Raise a `ProofLimitError` if time is up."""
        if time.monotonic() > self.end:
            raise ProofLimitError(
                f"The proof takes more than the {self.limits.seconds:g} s that it may take; a "
                "smaller file, or a larger limit, is accepted."
            )

    def reserve(self, size: int) -> None:
        """Raise a `ProofLimitError` if so many bytes more are not to be had, or time is up."""
        self.check()
        if self.held + size > self.limits.memory:
            raise ProofLimitError(
                f"The proof needs {(self.held + size) / MEBIBYTE:,.0f} MiB and may take "
                f"{self.limits.memory / MEBIBYTE:,.0f}; a smaller file, or a larger limit, is "
                "accepted."
            )
