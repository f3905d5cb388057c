"""Sums, products, maxima and comparisons of tensors, entry by entry."""

import math
from typing import Final

import numpy as np

from audit.proof.file.node import Array, Unsupported
from audit.proof.operators.pointwise import affine_form, along, one, pointwise
from audit.proof.operators.ranges import UNKNOWN, every_input, hull, times
from audit.proof.operators.record import Exact, Folding, Operator, Response, rounded_once
from audit.proof.values.context import Bound, Context
from audit.proof.values.numbering import Numbers


def normalise(context: Context) -> list[Numbers]:
    """Batch normalisation with fixed statistics."""
    if context.node["training_mode"] or any(context.node.outputs[1:]):
        raise Unsupported("normalises by the statistics of the batch")
    if context.node.get("spatial", 1) != 1:
        raise Unsupported("normalises every entry apart, as only old versions of ONNX do")
    if (context.required(4) + context.node.get("epsilon", 1e-5) <= 0).any():
        raise Unsupported("divides by the root of a variance that is not positive")
    given = {place: along(context, context.required(place), 1) for place in range(1, 5)}
    return [one(context, given)]


def _sum(context: Context) -> Bound:
    bounds = every_input(context)
    many = len(bounds) > 2
    if many and not context.holds(sum(bound.magnitude for bound in bounds)):
        return UNKNOWN  # a part of the sum may be infinite where the whole is not
    if len(context.tracked) == 1 and context.constants:
        return _affine(context, [value for _, value in context.constants])
    return Bound(
        sum(bound.low for bound in bounds),
        sum(bound.high for bound in bounds),
        all(bound.whole for bound in bounds),
        sum(bound.deviation for bound in bounds),
        signed_zero=all(bound.signed_zero for bound in bounds),
    )


def _difference(context: Context) -> Bound:
    if len(context.tracked) == 1:
        return _affine(context, [value for _, value in context.constants])
    a, b = every_input(context)
    whole = a.whole and b.whole
    deviation = a.deviation + b.deviation
    return Bound(a.low - b.high, a.high - b.low, whole, deviation, signed_zero=a.signed_zero)


def _product(context: Context) -> Bound:
    a, b = every_input(context)
    positive = min(a.low, b.low) >= 0 and not (a.signed_zero or b.signed_zero)
    if len(context.tracked) == 1:
        found = _affine(context, [value for _, value in context.constants])
        return Bound(found.low, found.high, found.whole, found.deviation, signed_zero=not positive)
    ends = [times(x, y) for x in (a.low, a.high) for y in (b.low, b.high)]
    # a b - a' b' = a (b - b') + b' (a - a'), and both tensors are in range for every image.
    deviation = times(a.magnitude, b.deviation) + times(b.magnitude, a.deviation)
    whole = a.whole and b.whole
    return Bound(min(ends), max(ends), whole, deviation, signed_zero=not positive)


def _quotient(context: Context) -> Bound:
    if len(context.tracked) > 1 or not context.constants:
        return UNKNOWN
    return _affine(context, [value for _, value in context.constants])


def _normalised(context: Context) -> Bound:
    given = [along(context, context.required(place), 1) for place in range(1, 5)]
    if context.unmoved and not context.holds(_largest_part(context, given)):
        return UNKNOWN  # an entry may be the difference of two infinities
    found = _affine(context, given)
    # Whether floats stay whole depends on how a runtime divides by the root.
    return Bound(found.low, found.high, False, found.deviation)


def _affine(context: Context, constants: list[Array]) -> Bound:
    form = affine_form(context, constants)
    if form is None:
        return UNKNOWN
    factor, offset = form
    if factor.shape != offset.shape:
        factor, offset = np.broadcast_arrays(*form)
    # Numbers of Python's: most often there is one, for which an array costs more than it does.
    pairs = {*zip(factor.ravel().tolist(), offset.ravel().tolist(), strict=True)}
    if not all(math.isfinite(a) and math.isfinite(b) for a, b in pairs):
        return UNKNOWN
    inner = context.tracked[0].bound
    edges = (inner.low, inner.high)
    if context.node.op == "Div":  # by the numbers themselves: their inverses are rounded
        ends = [edge / by for by in _distinct(constants[0]) for edge in edges]
    else:
        ends = [times(a, edge) + b for a, b in pairs for edge in edges]
    deviation = times(max(abs(a) for a, _ in pairs), inner.deviation)
    if context.mismatch is not None:
        deviation += times(context.mismatch.factor, inner.magnitude) + context.mismatch.offset
    whole = inner.whole and all(a.is_integer() and b.is_integer() for a, b in pairs)
    if context.node.op == "Div":  # 1 / 49 is rounded, and what is divided by it need not be whole
        whole = whole and all(abs(math.frexp(a)[0]) == 0.5 for a, _ in pairs)
    return Bound(min(ends), max(ends), whole, deviation, signed_zero=_keeps_minus(context, offset))


def _keeps_minus(context: Context, offset: Array) -> bool:
    """Whether an entry may be -0.0 that a constant was added to, subtracted from or multiplied by.

    x + b is -0.0 where both are, b - x where b is. A runtime that takes x + 0 for x leaves -0.0.
    """
    signed = context.tracked[0].bound.signed_zero
    first = isinstance(context.inputs[0], np.ndarray)
    if context.node.op not in _SUMS:
        return True
    if context.node.op == "Sub" and not first:
        return signed and bool((offset == 0).any())
    if not offset.any() and context.node.op == "Add":
        return signed
    minus = bool((np.signbit(offset) & (offset == 0)).any())
    return minus and (signed or context.node.op == "Sub")


def _largest_part(context: Context, given: list[Array]) -> float:
    """Return the largest product, or mean scaled, that a normalisation adds and subtracts."""
    scale, _, mean, variance = (np.abs(value.astype(np.float64)) for value in given)
    factor = scale / np.sqrt(variance + context.node.get("epsilon", 1e-5))
    return float((factor * np.maximum(mean, context.image().bound.magnitude)).max(initial=0))


def _distinct(values: Array) -> list[float]:
    numbers: list[float] = np.unique(values.astype(np.float64)).tolist()
    return numbers


_SUMS: Final = ("Add", "Sub", "Sum")


def _chosen(context: Context) -> Bound:
    return hull(every_input(context))


def _mean(context: Context) -> Bound:
    bounds = every_input(context)
    if not context.holds(sum(bound.magnitude for bound in bounds)):
        return UNKNOWN  # the sum may be infinite where the mean is not
    found = hull(bounds)
    return Bound(found.low, found.high, False, found.deviation)


def _truth(context: Context) -> Bound:
    del context
    return Bound(0.0, 1.0, whole=True, deviation=1.0, signed_zero=False)


def _picked(context: Context) -> Bound:
    if isinstance(context.inputs[0], np.ndarray):
        bounds = every_input(context)[1:]
        return hull(bounds)
    found = hull(every_input(context)[1:])
    deviates = any(value.bound.deviation for value in context.tracked)
    return Bound(
        found.low,
        found.high,
        found.whole,
        math.inf if deviates else 0.0,
        signed_zero=found.signed_zero,
    )


def _of_divisor(context: Context) -> Response:
    return "smooth" if len(context.tracked) == 1 and _is_constant(context, 1) else "steep"


def _of_condition(context: Context) -> Response:
    return "smooth" if _is_constant(context, 0) else "step"


def _is_constant(context: Context, place: int) -> bool:
    return isinstance(context.given(place), np.ndarray)


def _comparison(name: str, versions: tuple[int, ...]) -> Operator:
    return rounded_once(name, versions, pointwise, _truth, "step")


def _extremum(name: str) -> Operator:
    return Operator(
        name,
        (8, 12, 13),
        pointwise,
        bound=_chosen,
        integers="always",
        floats="ordered",
        response="smooth",
        folding="confirmed",
        any_axis=True,
        blind_to_zeros=True,
    )


def _integers(
    name: str, versions: tuple[int, ...], folding: Folding = "confirmed", exact: Exact = "always"
) -> Operator:
    return Operator(name, versions, pointwise, integers=exact, folding=folding, any_axis=True)


OPERATORS: Final = (
    rounded_once("Add", (7, 13, 14), pointwise, _sum),
    rounded_once("Sub", (7, 13, 14), pointwise, _difference),
    rounded_once("Mul", (7, 13, 14), pointwise, _product),
    rounded_once(
        "Div",
        (7, 13, 14),
        pointwise,
        _quotient,
        _of_divisor,
        "confirmed",
        blind_to_zeros=lambda context: _of_divisor(context) == "smooth",
    ),
    Operator(
        "Sum",
        (8, 13),
        pointwise,
        bound=_sum,
        floats="never",
        response="smooth",
        folding="confirmed",
        any_axis=True,
        blind_to_zeros=True,
    ),
    Operator(
        "Mean",
        (8, 13),
        pointwise,
        bound=_mean,
        response="smooth",
        folding="confirmed",
        any_axis=True,
        blind_to_zeros=True,
    ),
    Operator(
        "BatchNormalization",
        (9, 14, 15),
        normalise,
        bound=_normalised,
        response="smooth",
        blind_to_zeros=True,
    ),
    rounded_once("Where", (9, 16), pointwise, _picked, _of_condition),
    _extremum("Max"),
    _extremum("Min"),
    Operator(
        "Mod",
        (10, 13),
        pointwise,
        integers="always",
        floats="always",
        folding="confirmed",
        any_axis=True,
    ),
    Operator(
        "Pow", (7, 12, 13, 15), pointwise, response="steep", folding="confirmed", any_axis=True
    ),
    _integers("BitShift", (11,)),
    *(_integers(name, (18,)) for name in ("BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot")),
    _comparison("Equal", (7, 11, 13, 19)),
    _comparison("Greater", (9, 13)),
    _comparison("GreaterOrEqual", (12, 16)),
    _comparison("Less", (9, 13)),
    _comparison("LessOrEqual", (12, 16)),
    _comparison("And", (7,)),
    _comparison("Or", (7,)),
    _comparison("Xor", (7,)),
    _comparison("Not", (1,)),
    _comparison("IsInf", (10, 20)),
    _comparison("IsNaN", (9, 13, 20)),
)
