"""One line of the table: what is stated, what is true, and how often the statement is wrong."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

Simulation = Callable[[np.random.Generator], bool]
"""One audit: whether what it states is wrong."""


@dataclass(frozen=True)
class Line:
    """A kind of audit that is simulated.

    Attributes
    ----------
    statement
        What is stated.
    truth
        What the audits are made of.
    wrong
        One audit.
    most
        So often, at most, it may be wrong.
    cost
        How many times as long as most others one audit takes: so many fewer are simulated.
    """

    statement: str
    truth: str
    wrong: Simulation
    most: float = 0.05
    cost: int = 1


@dataclass(frozen=True)
class Measured:
    """How often the audits of a line were wrong, and the standard error of that."""

    line: Line
    rate: float
    error: float

    @property
    def holds(self) -> bool:
        """Whether the line is within its bar, but for two standard errors of the simulation."""
        return self.rate <= self.line.most + 2 * self.error

    def __str__(self) -> str:
        cells = (
            self.line.statement,
            self.line.truth,
            f"{self.rate:.2%}{'' if self.holds else ' (WRONG)'}",
            f"{2 * self.error:.2%}",
            f"{self.line.most:.0%}",
        )
        return f"| {' | '.join(cells)} |"


HEAD = "| statement | truth | wrong | ± | at most |\n| --- | --- | --- | --- | --- |"


def measure(line: Line, audits: int, seed: int = 0) -> Measured:
    """Simulate so many audits; equal seeds give equal audits."""
    audits = max(1, audits // line.cost)
    random = np.random.default_rng(seed)
    rate = sum(line.wrong(random) for _ in range(audits)) / audits
    return Measured(line, rate, float(np.sqrt(max(rate * (1 - rate), 1 / audits) / audits)))
