"""How large entries can be, whether they are whole, and how far residuals can carry.

One pair of numbers bounds all entries of a tensor, so that the bounds are loose; they hold in real
arithmetic for all images in range. They are needed for residuals, and to see that float tensors
which hold integers are summed exactly.
"""

import math
from typing import Any, Final

import numpy as np

from audit.proof.bounds.entrywise import ENTRYWISE
from audit.proof.bounds.known import UNBOUNDED
from audit.proof.bounds.rounding import inexact, rounds, stands_quantised
from audit.proof.bounds.sums import SUMS
from audit.proof.site import Bound, Site

__all__ = ["bound", "inexact", "of_dtype", "rounds", "stands_quantised"]

_RULES: Final = {**ENTRYWISE, **SUMS}
_LEAVING_INTEGERS: Final = ("Cast", "DequantizeLinear")


def bound(site: Site) -> Bound:
    """Return what is known of the entries of a node's outputs."""
    rule = _RULES.get(site.node.op)
    found = Bound(*UNBOUNDED, deviation=math.inf) if rule is None else rule(site)
    if math.isnan(found.low) or math.isnan(found.high) or _wraps(site, found):
        found = Bound(*UNBOUNDED, whole=found.whole, deviation=math.inf)
    if site.mismatch is None and not any(value.bound.deviation for value in site.tracked):
        return Bound(found.low, found.high, found.whole)
    deviation = math.inf if math.isnan(found.deviation) else found.deviation
    return Bound(found.low, found.high, found.whole, deviation)


def of_dtype(dtype: np.dtype[Any], low: float, high: float) -> Bound:
    """Return the bound of an input image; ``low`` and ``high`` hold for floats alone."""
    if dtype.kind == "f":
        return Bound(low, high)
    limits = np.iinfo(dtype)
    return Bound(float(limits.min), float(limits.max), whole=True)


def _wraps(site: Site, found: Bound) -> bool:
    """Whether integers may leave the range of their type, and come back at its other end."""
    dtype = site.tracked[0].dtype
    if dtype is None or dtype.kind not in "iu" or site.node.op in _LEAVING_INTEGERS:
        return False
    limits = np.iinfo(dtype)
    return found.low < limits.min or found.high > limits.max
