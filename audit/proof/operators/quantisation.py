"""Operators between types: casts, and quantisation."""

import math
from typing import Final

import numpy as np
from onnx import TensorProto, helper

from audit.proof.file.node import Unsupported
from audit.proof.file.types import DType, extremes, is_float, is_integer, significand, smallest
from audit.proof.operators.pointwise import along, one, pointwise
from audit.proof.operators.ranges import UNKNOWN, stepped, times
from audit.proof.operators.record import Operator, Response, rounded_once
from audit.proof.values.context import Bound, Context, Tracked
from audit.proof.values.numbering import Numbers


def cast(context: Context) -> list[Numbers]:
    """Convert entries.

    What becomes of a float that is out of an integer's range, the standard leaves open, and
    runtimes make one thing of it at the end of a row and another in its middle.
    """
    x, target = context.image(), _target(context)
    if x.dtype is None or not (is_integer(x.dtype) or is_float(x.dtype)):
        raise Unsupported("casts a tensor of unknown type")
    whole = is_integer(target) and target.name != "bool"
    if is_float(x.dtype) and whole and not _fits(x.bound, target):
        note = f"casts floats that may be out of the range of {target.name}, or not numbers"
        return [context.opaque(x.shape, note)]
    return pointwise(context)


def _target(context: Context) -> DType:
    kind = context.node["to"]
    if kind not in TensorProto.DataType.values() or kind in (0, TensorProto.STRING):
        raise Unsupported("casts to a type that is not followed")
    target: DType = helper.tensor_dtype_to_np_dtype(kind)
    if not (is_integer(target) or is_float(target)):
        raise Unsupported("casts to a type that is not followed")
    return target


def _fits(bound: Bound, target: DType) -> bool:
    """Whether values in these bounds are in range however floats round them on their way."""
    if bound.unbounded:
        return False
    low, high = extremes(target)
    if target.itemsize > 2 and not (bound.whole and bound.magnitude < 2**24):
        low, high = low * 0.99, high * 0.99
    return low <= bound.low and bound.high <= high


def _cast_bound(context: Context) -> Bound:
    inner, target = context.image().bound, _target(context)
    if target.name == "bool":
        return Bound(0.0, 1.0, True, 1.0, signed_zero=False)
    if is_float(target):  # the same in real arithmetic, but for types of a few bits
        whole, deviation = inner.whole, _after_rounding(context.image(), target)
        if not _is_fine(target):  # one of them has no zero
            whole = False
        vanishes = inner.low < 0 and not inner.whole  # what is too small for the type: -0.0 of it
        signed = inner.signed_zero or vanishes
        return Bound(inner.low, inner.high, whole, deviation, signed_zero=signed)
    kind = context.image().dtype
    fits = kind is not None and (is_integer(kind) or _fits(inner, target))
    if not fits or not math.isfinite(inner.magnitude):
        return UNKNOWN
    low, high = float(math.floor(inner.low)), float(math.ceil(inner.high))
    return Bound(low, high, True, inner.deviation if inner.whole else stepped(inner.deviation))


def _after_rounding(x: Tracked, target: DType) -> float:
    """Bound the deviation of what is rounded to a type of floats: it grows by a unit of its last.

    One in the middle between two numbers of the type is rounded away from one next to it.
    """
    bound, bits = x.bound, significand(target)
    if not bound.deviation:
        return 0.0
    if not _is_fine(target) or bound.magnitude > extremes(target)[1]:
        return math.inf
    held = bound.whole and bound.magnitude <= 2.0**bits
    if held or (x.dtype is not None and is_float(x.dtype) and significand(x.dtype) <= bits):
        return bound.deviation
    return bound.deviation + math.ldexp(bound.magnitude, 1 - bits) + smallest(target)


def _response(context: Context) -> Response:
    inner, target = context.image(), _target(context)
    floats = inner.dtype is None or is_float(inner.dtype)
    return "step" if floats and not _is_fine(target) else "smooth"


def _is_fine(target: DType) -> bool:
    """Whether a type's last bit is no whole step: one of float8 is a tenth of a number."""
    return is_float(target) and significand(target) > 0


def quantise(context: Context) -> list[Numbers]:
    """Quantise or dequantise, with one scale or one for each channel."""
    if context.node.get("block_size", 0):
        raise Unsupported("has a scale for each block of entries, which is not followed")
    values = {place: context.constant(place) for place in (1, 2)}
    scale = values[1]
    if scale is None or not (np.isfinite(scale.astype(np.float64)) & (scale > 0)).all():
        raise Unsupported("has a scale that is not positive")
    several = any(v is not None and np.unique(v).size > 1 for v in values.values())
    if several and context.node.op == "QuantizeLinear":
        raise Unsupported(
            "has several scales or zero points for an image's data, of which onnxruntime passes "
            "over the axis, or over all but the first"
        )
    axis = context.node.get("axis", 1)
    given = {place: along(context, v, axis) for place, v in values.items() if v is not None}
    return [one(context, given)]


def _quantised(context: Context) -> Bound:
    inner, scale = context.image().bound, context.required(1)
    if context.dtype is None or not is_integer(context.dtype):
        return UNKNOWN
    steps = stepped(inner.deviation / float(scale.astype(np.float64).min()))
    return Bound(*extremes(context.dtype), True, steps, signed_zero=False)


def _dequantised(context: Context) -> Bound:
    inner, scale, zero = context.image().bound, context.required(1), context.constant(2)
    exact = [inner.low, inner.high]
    # Runtimes make a float of an integer, and then scale it.
    edges = exact + np.array(exact).astype(np.float32).tolist()
    zeros = [0.0] if zero is None else np.unique(zero.astype(np.float64)).tolist()
    factors = np.unique(scale.astype(np.float64)).tolist()
    ends = [times(factor, edge - shift) for factor in factors for shift in zeros for edge in edges]
    largest = max(map(abs, factors))
    kind = context.image().dtype
    signed = inner.signed_zero and (kind is None or not is_integer(kind))  # float8 has -0.0 too
    return Bound(min(ends), max(ends), False, times(largest, inner.deviation), signed_zero=signed)


OPERATORS: Final = (
    rounded_once("Cast", (9, 13, 19, 21, 23, 24, 25), cast, _cast_bound, _response),
    Operator(
        "QuantizeLinear",
        (10, 13, 19, 21, 23, 24, 25),
        quantise,
        bound=_quantised,
        integers="never",
        floats="bounded",
        response="step",
        folding="confirmed",
        any_axis=True,
        blind_to_zeros=True,
    ),
    rounded_once("DequantizeLinear", (10, 13, 19, 21, 23, 24, 25), quantise, _dequantised),
)
