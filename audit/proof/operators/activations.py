"""Functions of one number, and how steep they are."""

import math
from collections.abc import Callable
from typing import Final

from audit.proof.operators.pointwise import pointwise
from audit.proof.operators.ranges import UNKNOWN, monotone, within
from audit.proof.operators.record import Bounding, Exact, Folding, Operator, Response, unknown
from audit.proof.values.context import Bound, Context


def _clip(context: Context) -> Bound:
    least, most = context.constant(1), context.constant(2)
    low = context.node.get("min", -math.inf) if least is None else float(least.item())
    high = context.node.get("max", math.inf) if most is None else float(most.item())
    inner = context.image().bound
    ends = (min(max(inner.low, low), high), min(max(inner.high, low), high))
    whole = inner.whole and all(math.isinf(end) or end % 1 == 0 for end in (low, high))
    minus = any(end == 0 and math.copysign(1, end) < 0 for end in (low, high))
    return Bound(*ends, whole, inner.deviation, signed_zero=inner.signed_zero or minus)


def _absolute(context: Context) -> Bound:
    inner = context.image().bound
    return Bound(0.0, inner.magnitude, inner.whole, inner.deviation, signed_zero=False)


def _negative(context: Context) -> Bound:
    inner = context.image().bound
    return Bound(-inner.high, -inner.low, inner.whole, inner.deviation)


def _leaky(context: Context) -> Bound:
    slope = context.node.get("alpha", 0.01)
    if not 0 <= slope <= 1:
        return UNKNOWN
    found = monotone(lambda x: x if x > 0 else slope * x, 1.0)(context)
    return Bound(found.low, found.high, False, found.deviation)


def _elu(context: Context) -> Bound:
    alpha = context.node.get("alpha", 1.0)
    if not 0 <= alpha <= 1:
        return UNKNOWN
    return monotone(lambda x: x if x > 0 else alpha * math.expm1(x), 1.0)(context)


def _root(context: Context) -> Bound:
    inner = context.image().bound
    if inner.low < 0 or inner.loose:
        return UNKNOWN
    return Bound(
        math.sqrt(inner.low),
        math.sqrt(inner.high),
        deviation=math.sqrt(inner.deviation),
        signed_zero=inner.signed_zero,
    )


def _sigmoid(x: float) -> float:
    return (1 + math.tanh(x / 2)) / 2


def _rounded(context: Context) -> Bound:
    inner = context.image().bound
    if inner.whole:
        return inner
    low, high = _floor(inner.low), -_floor(-inner.high)
    deviation = inner.deviation + 1 if inner.deviation else 0.0
    floored = context.node.op == "Floor"  # which makes -0.0 of -0.0 alone
    signed = inner.signed_zero or (not floored and inner.low < 0)
    return Bound(low, high, True, deviation, signed_zero=signed)


def _floor(value: float) -> float:
    return math.floor(value) if math.isfinite(value) else value


def _of_phase(context: Context) -> Response:
    """Say that of a large angle the last bit may be a whole turn, of a small one nothing much."""
    return "smooth" if context.image().bound.magnitude <= _LARGE_ANGLE else "steep"


def _of_celu(context: Context) -> Response:
    """Say that without a positive alpha what is below zero grows as the exponential does."""
    return "smooth" if context.node.get("alpha", 1.0) > 0 else "steep"


_LARGE_ANGLE: Final = 2.0**10
"""Up to it, the last bit of a 32-bit float is less than 1e-4."""


def _function(
    name: str,
    versions: tuple[int, ...],
    response: Response | Callable[[Context], Response],
    bound: Bounding = unknown,
    *,
    floats: Exact = "never",
    integers: Exact = "never",
    folding: Folding = "confirmed",
) -> Operator:
    return Operator(
        name,
        versions,
        pointwise,
        bound=bound,
        floats=floats,
        integers=integers,
        response=response,
        folding=folding,
        any_axis=True,
        blind_to_zeros=name != "Reciprocal",
    )


_RELU: Final[Callable[[float], float]] = lambda x: max(x, 0.0)  # noqa: E731 - it is one of a table

OPERATORS: Final = (
    # One operation, or a choice between two.
    _function(
        "Abs", (6, 13), "smooth", _absolute, floats="always", integers="always", folding="agreed"
    ),
    _function("Ceil", (6, 13), "step", _rounded, floats="always"),
    _function("Clip", (6, 11, 12, 13), "smooth", _clip, floats="always", integers="always"),
    _function("Floor", (6, 13), "step", _rounded, floats="always"),
    _function("LeakyRelu", (6, 16), "smooth", _leaky, floats="always"),
    _function(
        "Neg", (6, 13), "smooth", _negative, floats="always", integers="always", folding="agreed"
    ),
    _function("PRelu", (9, 16), "smooth", floats="always", integers="always"),
    _function(
        "Relu",
        (6, 13, 14),
        "smooth",
        monotone(_RELU, 1.0, whole=True),
        floats="always",
        integers="always",
    ),
    _function("Round", (11, 22), "step", _rounded, floats="always"),
    _function("Shrink", (9,), "step", floats="always", integers="always"),
    _function("Sign", (9, 13), "step", within(-1.0, 1.0), floats="always", integers="always"),
    _function("ThresholdedRelu", (10, 22), "step", floats="always"),
    # Several rounded operations.
    _function("Acos", (7, 22), "steep"),
    _function("Acosh", (9, 22), "steep"),
    _function("Asin", (7, 22), "steep"),
    _function("Asinh", (9, 22), "smooth"),
    _function("Atan", (7, 22), "smooth", within(-1.6, 1.6, 1.0)),
    _function("Atanh", (9, 22), "steep"),
    _function("Celu", (12,), _of_celu),
    _function("Cos", (7, 22), _of_phase, within(-1.0, 1.0, 1.0)),
    _function("Cosh", (9, 22), "steep"),
    _function("Elu", (6, 22), "smooth", _elu),
    _function("Erf", (9, 13), "smooth", within(-1.0, 1.0, 1.13)),
    _function("Exp", (6, 13), "steep"),
    _function("Gelu", (20,), "smooth"),
    _function("HardSigmoid", (6, 22), "smooth"),
    _function("HardSwish", (14, 22), "smooth"),
    _function("Log", (6, 13), "steep"),
    _function("Mish", (18, 22), "smooth"),
    _function("Reciprocal", (6, 13), "steep"),
    _function("Selu", (6, 22), "smooth"),
    _function("Sigmoid", (6, 13), "smooth", monotone(_sigmoid, 0.25)),
    _function("Sin", (7, 22), _of_phase, within(-1.0, 1.0, 1.0)),
    _function("Sinh", (9, 22), "steep"),
    _function("Softplus", (1, 22), "smooth"),
    _function("Softsign", (1, 22), "smooth", within(-1.0, 1.0, 1.0)),
    _function("Sqrt", (6, 13), "steep", _root),
    _function("Swish", (24,), "smooth"),
    _function("Tan", (7, 22), "steep"),
    _function("Tanh", (6, 13), "smooth", monotone(math.tanh, 1.0)),
)
