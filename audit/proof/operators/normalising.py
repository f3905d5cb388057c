"""Operators that see each entry together with all others along an axis."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from audit.proof.file.node import Array, Unsupported
from audit.proof.operators.pointwise import along
from audit.proof.operators.ranges import UNKNOWN
from audit.proof.operators.record import Operator, Response
from audit.proof.operators.reductions import block
from audit.proof.values.context import Bound, Context
from audit.proof.values.numbering import Numbers

_COERCING: Final = 13
"""Before this version of the operators, softmax works over its axis and all that follow it."""


def softmax(context: Context) -> list[Numbers]:
    """Softmax and its logarithm."""
    x = context.image()
    if context.node.opset < _COERCING:
        context.batch_first()
        first_place = context.axis(context.node.get("axis", 1))
        return [_normalise(context, range(first_place, x.rank), [])]
    return [_normalise(context, [context.axis(context.node.get("axis", -1))], [])]


def lp_normalisation(context: Context) -> list[Numbers]:
    """Divide by the norm along an axis."""
    return [_normalise(context, [context.axis(context.node.get("axis", -1))], [])]


def layer_normalisation(context: Context) -> list[Numbers]:
    """Normalise over the last axes of each image."""
    if any(context.node.outputs[1:]):
        raise Unsupported("gives statistics, which are not followed")
    x = context.image()
    axis = context.node.get("axis", -1)
    context.axis(axis)
    axis %= x.rank
    if axis <= x.batch_axis:
        raise Unsupported("works across the images of a batch")
    parameters = [value for value in map(context.constant, (1, 2)) if value is not None]
    if any(value.ndim > x.rank - axis for value in parameters):
        raise Unsupported("scales by more numbers than it normalises")
    return [_normalise(context, range(axis, x.rank), parameters)]


def instance_normalisation(context: Context) -> list[Numbers]:
    """Normalise each channel of each image over its pixels."""
    parameters = [along(context, context.required(place), 1) for place in (1, 2)]
    return [_normalise(context, range(2, context.image().rank), parameters)]


def group_normalisation(context: Context) -> list[Numbers]:
    """Normalise each group of successive channels of each image over all their pixels."""
    numbers, count = context.image().numbers, _groups(context)
    channels = numbers.shape[1]
    parameters = [along(context, context.required(place), 1) for place in (1, 2)]
    groups = numbers.reshape(2, count, channels // count, *numbers.shape[2:])
    whole = block(context, groups, range(2, groups.ndim), keep=False)
    whole = whole.repeat(channels // count, axis=1)
    whole = whole.reshape(2, channels, *[1] * (numbers.ndim - 2))
    return [_scaled(context, whole, parameters)]


def _groups(context: Context) -> int:
    channels = context.image().numbers.shape[context.axis(1)]
    count = int(context.node.get("num_groups", 0))
    if count < 1 or channels % count:
        raise Unsupported(f"divides {channels} channels into {count} groups")
    return count


def _normalise(context: Context, places: Sequence[int], parameters: Sequence[Array]) -> Numbers:
    """Number a function of an entry, of all entries along axes, and of parameters."""
    whole = block(context, context.image().numbers, list(places), keep=True)
    return _scaled(context, whole, parameters)


def _scaled(context: Context, whole: Numbers, parameters: Sequence[Array]) -> Numbers:
    """Number a function of an entry, of all that it is normalised with, and of parameters."""
    numbers = context.image().numbers
    context.reserve(numbers[0].size, copies=3 + len(parameters))
    arrays = [numbers, whole, *map(context.numbering.constants, parameters)]
    return context.numbering.rows(np.stack(np.broadcast_arrays(*arrays), axis=-1))


def extreme(context: Context) -> list[Numbers]:
    """Tell the place of the largest or smallest entry along an axis, whose order matters."""
    x = context.image()
    axis = context.node.get("axis", 0)
    place = context.axis(axis)
    places = context.numbering.rows(np.moveaxis(x.numbers, place, -1))
    if context.node.get("keepdims", 1):
        return [np.expand_dims(places, place)]
    context.batch_axis -= axis % x.rank < x.batch_axis
    return [places]


def largest(context: Context) -> list[Numbers]:
    """Sort the k largest entries along an axis; their places are those of entries in order."""
    numbers = context.image().numbers
    axis = context.axis(context.node.get("axis", -1))
    given = context.node["k"]
    count = int(np.ravel(context.required(1))[0]) if given is None else int(given)
    if not 0 <= count <= numbers.shape[axis]:
        raise Unsupported(f"takes {count} of {numbers.shape[axis]} entries")
    rows = np.moveaxis(numbers, axis, -1)
    context.reserve(rows[0].size // max(rows.shape[-1], 1) * count, copies=4)
    ranks = context.numbering.constants(np.arange(count))
    answers = []
    if not context.node.get("sorted", 1):
        raise Unsupported("leaves its entries in an order that the standard does not fix")
    for named in (context.numbering.multisets(rows), context.numbering.rows(rows)):
        spread = np.broadcast_to(named[..., None], (*named.shape, count))
        ranked = context.numbering.apply((context.node.function, "rank"), spread, ranks)
        answers.append(np.moveaxis(ranked, -1, axis))
    return answers


def _of_places(context: Context) -> Response:
    """A sort moves by as much as its entries do, the places of what is sorted leap."""
    return "step" if any(context.node.outputs[1:]) else "smooth"


def _probabilities(context: Context) -> Bound:
    """Bound softmax: the row sums of its derivative are ``2 p (1 - p) <= 1 / 2``."""
    return Bound(0.0, 1.0, False, context.image().bound.deviation / 2, signed_zero=False)


def _standardised(context: Context) -> Bound:
    """Bound what has a mean of 0 and a variance of at most 1: no entry is beyond the root of n."""
    x = context.image()
    squares = math.prod(x.shape) * x.bound.magnitude**2
    if context.unmoved and not context.holds(squares):
        return UNKNOWN  # a variance may be infinite, or a mean, and what is divided not a number
    if context.node.op == "InstanceNormalization":
        count = math.prod(x.numbers.shape[2:])
    elif context.node.op == "GroupNormalization":
        count = math.prod(x.numbers.shape[1:]) // _groups(context)
    else:
        count = math.prod(x.numbers.shape[context.node.get("axis", -1) % x.rank :])
    given = [context.constant(place) for place in (1, 2)]
    scale, shift = (
        default if value is None else float(np.abs(value.astype(np.float64)).max(initial=0))
        for value, default in zip(given, (1.0, 0.0), strict=True)
    )
    high = math.sqrt(count) * scale + shift
    return Bound(-high, high, deviation=math.inf) if math.isfinite(high) else UNKNOWN


OPERATORS: Final = (
    *(
        Operator(
            name,
            (1, 11, 12, 13),
            extreme,
            integers="always",
            floats="ordered",
            response="step",
            any_axis=True,
            blind_to_zeros=True,
        )
        for name in ("ArgMax", "ArgMin")
    ),
    Operator(
        "GroupNormalization",
        (21,),  # the one before scales groups, not channels
        group_normalisation,
        bound=_standardised,
        response="steep",
        blind_to_zeros=True,
    ),
    Operator(
        "InstanceNormalization",
        (6, 22),
        instance_normalisation,
        bound=_standardised,
        response="steep",
        blind_to_zeros=True,
    ),
    Operator(
        "LayerNormalization",
        (17,),
        layer_normalisation,
        bound=_standardised,
        response="steep",
        blind_to_zeros=True,
        any_axis=True,
    ),
    Operator(
        "LogSoftmax",
        (1, 11, 13),
        softmax,
        response="smooth",
        any_axis=True,
        blind_to_zeros=True,
    ),
    Operator("LpNormalization", (1, 22), lp_normalisation, response="steep", any_axis=True),
    Operator(
        "Softmax",
        (1, 11, 13),
        softmax,
        bound=_probabilities,
        response="smooth",
        any_axis=True,
        blind_to_zeros=True,
    ),
    Operator(
        "TopK",
        (1, 10, 11, 24),
        largest,
        bound=lambda context: Bound(deviation=math.inf),
        integers="always",
        floats="ordered",
        response=_of_places,
        any_axis=True,
        blind_to_zeros=True,
    ),
)
