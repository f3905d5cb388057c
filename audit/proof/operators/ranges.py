"""How large entries can be, whether they are whole, and how far residuals can carry.

One pair of numbers bounds all entries of a tensor, so that the bounds are loose; they hold in real
arithmetic for all images in range. They are needed for residuals, to see that float tensors which
hold integers are summed exactly, and that casts stay in range.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from audit.proof.file.node import Array
from audit.proof.file.types import DType, extremes, is_float, is_integer
from audit.proof.operators.record import Bounding, Operator
from audit.proof.values.context import Bound, Context, Tracked

UNKNOWN = Bound(deviation=math.inf)


def bound(operator: Operator, context: Context) -> Bound:
    """Return what is known of the entries of a node's first output."""
    with np.errstate(all="ignore"):
        found = operator.bound(context)
        dtype = context.dtype
        if dtype is not None and is_float(dtype):
            found = _rounded(found, dtype)
    if math.isnan(found.low) or math.isnan(found.high) or found.low > found.high:
        found = UNKNOWN
    overflows = dtype is None or _leaves(dtype, found)
    if overflows and (dtype is None or is_integer(dtype)):
        # Integers wrap around, and stay integers.
        found = replace(UNKNOWN, whole=dtype is not None)
    inputs = [value.bound for value in context.tracked]
    unbounded = overflows or any(inner.unbounded for inner in inputs) or _holds_nan(context)
    floats = dtype is None or is_float(dtype)
    deviates = context.mismatch is not None or any(inner.deviation for inner in inputs)
    deviation = math.inf if math.isnan(found.deviation) else found.deviation
    return replace(
        found,
        deviation=deviation if deviates else 0.0,
        unbounded=unbounded and floats,
        signed_zero=found.signed_zero and floats,
    )


def of_image(dtype: DType, low: float, high: float) -> Bound:
    """Return the bound of an input image; ``low`` and ``high`` hold for floats alone."""
    if is_float(dtype):
        return Bound(low, high, unbounded=False)
    return Bound(*extremes(dtype), whole=True, unbounded=False, signed_zero=False)


def of_constant(value: Array) -> Bound:
    """Return the bound of a constant."""
    if not value.size or not (is_integer(value.dtype) or is_float(value.dtype)):
        return Bound()
    numbers = value.astype(np.float64)
    if numbers.size == 1 and math.isfinite(number := numbers.item()):
        signed = number == 0 and math.copysign(1, number) < 0
        return Bound(number, number, number.is_integer(), unbounded=False, signed_zero=signed)
    signed = bool((np.signbit(numbers) & (numbers == 0)).any())
    if not np.isfinite(numbers).all():
        return Bound(signed_zero=signed)
    whole = bool(np.all(numbers == np.floor(numbers)))
    low, high = float(numbers.min()), float(numbers.max())
    return Bound(low, high, whole, unbounded=False, signed_zero=signed)


def every_input(context: Context) -> list[Bound]:
    """Return the bounds of all inputs, constants among them."""
    return [
        value.bound if isinstance(value, Tracked) else of_constant(value)
        for value in context.inputs
        if isinstance(value, (Tracked, np.ndarray))
    ]


def hull(bounds: Sequence[Bound]) -> Bound:
    """Bound what consists of entries of several tensors."""
    return Bound(
        min(bound.low for bound in bounds),
        max(bound.high for bound in bounds),
        all(bound.whole for bound in bounds),
        max(bound.deviation for bound in bounds),
        signed_zero=any(bound.signed_zero for bound in bounds),
    )


def times(a: float, b: float) -> float:
    """Multiply, where nothing times infinity is nothing."""
    return 0.0 if a == 0 or b == 0 else a * b


def stepped(deviation: float) -> float:
    """Bound the deviation after rounding: values that are near may be rounded apart by one."""
    return deviation + 1 if deviation else 0.0


def first(context: Context) -> Bound:
    """Bound what holds entries of the first input alone."""
    return context.tracked[0].bound


def monotone(
    function: Callable[[float], float], steepest: float, *, whole: bool = False
) -> Bounding:
    """Bound an increasing function with a largest slope; it keeps the sign of zero."""

    def rule(context: Context) -> Bound:
        inner = context.image().bound
        ends = (function(inner.low), function(inner.high))
        deviation = times(steepest, inner.deviation)
        return Bound(*ends, whole and inner.whole, deviation, signed_zero=inner.signed_zero)

    return rule


def within(low: float, high: float, steepest: float = math.inf) -> Bounding:
    """Bound a function by its range and its largest slope."""

    def rule(context: Context) -> Bound:
        deviation = times(steepest, context.tracked[0].bound.deviation)
        return Bound(low, high, deviation=deviation)

    return rule


def _rounded(found: Bound, dtype: DType) -> Bound:
    """Widen a bound to what its type makes of the ends: beyond its significand, of integers too.

    Runtimes make half precision of single precision, and so round what comes of doubles twice.
    """
    ends = np.array([found.low, found.high])
    ways = [ends.astype(dtype)]
    if dtype.itemsize < 4:
        ways.append(ends.astype(np.float32).astype(dtype))
    rounded = np.stack(ways).astype(np.float64)
    if np.isnan(rounded).any():  # what is out of range is told elsewhere
        return found
    low, high = float(rounded[:, 0].min()), float(rounded[:, 1].max())
    return replace(found, low=min(found.low, low), high=max(found.high, high))


def _leaves(dtype: DType, found: Bound) -> bool:
    if not (is_integer(dtype) or is_float(dtype)):
        return True
    low, high = extremes(dtype)
    return not low <= found.low <= found.high <= high


def _holds_nan(context: Context) -> bool:
    return any(
        is_float(value.dtype) and not np.isfinite(value.astype(np.float64)).all()
        for value in context.inputs
        if isinstance(value, np.ndarray)
    )
