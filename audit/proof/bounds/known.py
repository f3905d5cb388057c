"""A bound's parts that all rules share."""

import math
from collections.abc import Callable
from typing import Final

from audit.proof.site import Bound, Site

Rule = Callable[[Site], Bound]

UNBOUNDED: Final = (-math.inf, math.inf)


def times(a: float, b: float) -> float:
    """Multiply, where nothing times infinity is nothing."""
    return 0.0 if a == 0 or b == 0 else a * b
