"""Operators that are linear maps with stored weights: convolution and matrix product."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from audit.proof.file.node import Unsupported
from audit.proof.operators.ranges import UNKNOWN, times
from audit.proof.operators.record import Exact, Operator
from audit.proof.operators.reductions import slide
from audit.proof.operators.weights import Weights, read_weights
from audit.proof.values.channels import read_channels, rotated_planes
from audit.proof.values.context import Bound, Context, Tracked
from audit.proof.values.matching import Bank, Floats, Match, match
from audit.proof.values.numbering import PADDING, Numbers, is_unmoved
from audit.proof.values.ties import FilterPlaces, Ties
from audit.proof.values.windows import Spread, Window, are_symmetric, read_transposed, read_windows
from imaging import GridSymmetry

_MOST_TERMS: Final = 2**22
"""Products of an entry and a weight that are written out one by one."""


def convolve(context: Context) -> list[Numbers]:
    """Convolve over a line, a plane or a space, with or without groups of channels."""
    weights = read_weights(context)
    numbers = context.image().numbers
    if weights is None or numbers.ndim < 3 or weights.matrix.ndim != numbers.ndim:
        raise Unsupported("convolves in another number of dimensions than its input has")
    transposed = context.node.op == "ConvTranspose"
    groups = context.node.get("group", 1)
    filters, inputs, *kernel = weights.matrix.shape
    channels = numbers.shape[1]
    if groups < 1 or inputs * groups != channels or filters % groups:
        raise Unsupported(f"reads {inputs * groups} channels where there are {channels}")
    if context.node["kernel_shape"] not in (None, kernel):
        raise Unsupported("has filters of another size than it says")
    windows: Sequence[Window] | Sequence[Spread]
    if transposed:
        windows = read_transposed(context.node, numbers.shape[2:], kernel)
    else:
        windows = read_windows(context.node, numbers.shape[2:], kernel)
    sides = tuple(window.count for window in windows)
    symmetry, ids, note = GridSymmetry(False, 0), np.tile(np.arange(channels), (2, 1)), None
    if not is_unmoved(numbers):
        seen = read_channels(numbers, context.generator) if len(sides) == 2 else None
        if seen is None:
            note = "reads an input that does not rotate as an image does"
        elif not are_symmetric(windows, seen[0]):
            note = "slides windows that are not mapped onto windows: see its stride and padding"
        else:
            symmetry, ids = seen
    if note is None:
        return [_rotated(context, weights, ids, symmetry, sides)]
    terms = 2 * filters * math.prod(sides) * inputs * math.prod(kernel)
    if transposed or terms > _MOST_TERMS:
        return [context.opaque((filters, *sides), note)]
    context.note = note
    return [_by_windows(context, weights, [w for w in windows if isinstance(w, Window)])]


def _rotated(
    context: Context, weights: Weights, ids: Numbers, symmetry: GridSymmetry, sides: Sequence[int]
) -> Numbers:
    """Match filters: the rotated image gives filter f what the upright one gives f rotated back."""
    groups = context.node.get("group", 1)
    filters, inputs = weights.matrix.shape[:2]
    shape = (groups, filters // groups, inputs, -1)

    def bank(matrix: Floats, channels: Numbers) -> Bank:
        extras = weights.extras.reshape(groups, filters // groups, -1)
        return Bank(matrix.reshape(shape), channels.reshape(groups, inputs), extras)

    context.reserve(weights.matrix.size, copies=3)
    plane = len(sides) == 2
    rotated = symmetry.inverse()(weights.matrix) if plane else weights.matrix
    matched = match(
        bank(weights.matrix, ids[0]),
        bank(np.ascontiguousarray(rotated), ids[1]),
        0.0 if weights.exact else context.tolerance,
        explaining=context.explaining,
    )
    _report(context, matched)
    if context.ties is not None and plane and context.node.op != "ConvTranspose":
        places = np.arange(weights.matrix.size).reshape(weights.matrix.shape)
        taps, moved = (p.reshape(shape) for p in (places, symmetry.inverse()(places)))
        channels_at = ids.reshape(2, groups, inputs)
        _tie(context, context.ties, FilterPlaces(taps, moved, channels_at), matched)
    return rotated_planes(context, matched.numbers, sides, symmetry)


def _by_windows(context: Context, weights: Weights, windows: Sequence[Window]) -> Numbers:
    """Convolve as sums of products, which need no geometry and tie exactly or not."""
    groups = context.node.get("group", 1)
    filters, inputs, *kernel = weights.matrix.shape
    sides = [window.count for window in windows]
    context.reserve(2 * filters * math.prod(sides) * inputs * math.prod(kernel))
    rows = slide(context.image().numbers, windows)  # [2, C, *W, K]
    rows = rows.reshape(2, groups, 1, inputs, -1, rows.shape[-1])
    taps = weights.matrix.reshape(1, groups, filters // groups, inputs, 1, -1)
    outside = np.broadcast_to(rows == PADDING, np.broadcast_shapes(rows.shape, taps.shape))
    zero = int(context.numbering.constants(np.zeros(1))[0])
    terms = _terms(context, np.where(rows == PADDING, zero, rows), taps)
    terms = np.where(outside, zero, terms)
    terms = np.moveaxis(terms, 3, 4).reshape(2, filters, math.prod(sides), -1)
    sums = context.numbering.multisets(terms)
    return _shifted(context, weights, sums, 1).reshape(2, filters, *sides)


def _terms(context: Context, x: Numbers, weights: Floats) -> Numbers:
    constants = context.numbering.constants(weights)
    x = np.broadcast_to(x, np.broadcast_shapes(x.shape, constants.shape))
    return context.numbering.apply((context.node.index, "*"), x, constants)


def _shifted(context: Context, weights: Weights, sums: Numbers, axis: int) -> Numbers:
    """Number a sum with what comes with its filter: its bias, its scale."""
    extras = np.ascontiguousarray(weights.extras)
    names = context.numbering.constants(extras.view(f"V{8 * extras.shape[1]}")[:, 0])
    sides = [1] * sums.ndim
    sides[axis] = len(names)
    return context.numbering.apply((context.node.function, "+"), sums, names.reshape(sides))


def multiply(context: Context) -> list[Numbers]:
    """Multiply by a matrix, the features of an image in its last axis."""
    weights = read_weights(context)
    if weights is None:
        return [_product(context)]
    x = context.image()
    numbers = x.numbers
    features, count = weights.matrix.shape[1], len(weights.matrix)
    if x.rank < 2 or x.batch_axis == x.rank - 1 or numbers.shape[-1] != features:
        raise Unsupported(f"multiplies by weights for {features} features, which it does not read")
    if context.node.op == "Gemm" and x.rank != 2:
        raise Unsupported("multiplies what is no matrix")
    if x.rank > 2:
        terms = 2 * math.prod(x.shape) * count
        if terms > 8 * _MOST_TERMS:
            raise Unsupported("is a product with many rows, too large to follow")
        context.reserve(terms)
        sums = context.numbering.multisets(_terms(context, numbers[..., None, :], weights.matrix))
        return [_shifted(context, weights, sums, sums.ndim - 1)]

    def bank(numbers: Numbers) -> Bank:
        return Bank(weights.matrix[None, :, :, None], numbers[None], weights.extras[None])

    context.reserve(weights.matrix.size, copies=3)
    matched = match(
        bank(numbers[0]),
        bank(numbers[1]),
        0.0 if weights.exact else context.tolerance,
        explaining=context.explaining,
    )
    _report(context, matched)
    if context.ties is not None:
        stored = context.required(1)
        places = np.arange(stored.size).reshape(stored.shape)
        taps = (places if context.node["transB"] else places.T)[None, :, :, None]
        _tie(context, context.ties, FilterPlaces(taps, taps, numbers[:, None]), matched)
    return [context.numbering.fresh(2 * count) + matched.numbers]


def _product(context: Context) -> Numbers:
    """Multiply two tensors that both depend on the image."""
    context.batch_first()
    a, b = (context.image(place).numbers for place in (0, 1))
    if a.ndim != b.ndim or a.ndim < 3:
        raise Unsupported("multiplies tensors such that images of a batch could meet")
    rows, columns = a[..., :, None, :], np.swapaxes(b, -1, -2)[..., None, :, :]
    size = math.prod(np.broadcast_shapes(rows.shape, columns.shape))
    if size > 8 * _MOST_TERMS:
        raise Unsupported("is a product of two tensors too large to follow")
    context.reserve(size)
    pairs = np.stack(np.broadcast_arrays(rows, columns), axis=-1)
    return context.numbering.multisets(context.numbering.multisets(pairs))


def einsum(context: Context) -> list[Numbers]:
    """Sum products of entries over named axes, all of them written out."""
    equation = context.node["equation"].replace(" ", "")
    left, arrow, right = equation.partition("->")
    parts = left.split(",")
    named = [label for part in parts for label in part]
    if not arrow or not all(label.isalpha() for label in [*named, *right]):
        raise Unsupported(f"sums by the equation '{equation}', which is not followed")
    if any(len({*part}) < len(part) for part in [*parts, right]) or not {*right} <= {*named}:
        raise Unsupported(f"sums by the equation '{equation}', which is not followed")
    values = [context.given(place) for place in range(len(parts))]
    batches = {
        part[value.batch_axis]
        for part, value in zip(parts, values, strict=True)
        if isinstance(value, Tracked) and len(part) == value.rank
    }
    batch = next(iter(batches), "")
    if len(batches) != 1 or batch not in right:
        raise Unsupported("works across the images of a batch")
    context.batch_axis = right.index(batch)
    summed = sorted({*named} - {*right})
    labels = [batch, *(label for label in right if label != batch), *summed]
    arrays = []
    for place, part in enumerate(parts):
        value = context.given(place)
        if isinstance(value, np.ndarray):
            array, order = context.numbering.constants(value)[None], [batch, *part]
            if batch in part or value.ndim != len(part):
                raise Unsupported("works across the images of a batch")
        else:
            tracked = context.image(place)
            array = tracked.numbers
            order = [batch, *(label for label in part if label != batch)]
            if tracked.rank != len(part):
                raise Unsupported(f"sums by the equation '{equation}', which does not fit")
        axes = [order.index(label) for label in labels if label in order]
        sides = iter(array.transpose(axes).shape)
        shape = [next(sides) if label in order else 1 for label in labels]
        arrays.append(array.transpose(axes).reshape(shape))
    shape = list(np.broadcast_shapes(*(array.shape for array in arrays)))
    if math.prod(shape) * len(arrays) > 8 * _MOST_TERMS:
        raise Unsupported("is a sum of products too large to follow")
    context.reserve(math.prod(shape), copies=len(arrays) + 1)
    products = arrays[0]
    if len(arrays) > 1:
        rows = np.stack(np.broadcast_arrays(*arrays), axis=-1)
        products = context.numbering.multisets(rows)
    kept = len(labels) - len(summed)
    if not summed:
        return [products]
    return [context.numbering.multisets(products.reshape(*products.shape[:kept], -1))]


def _tie(context: Context, ties: Ties, places: FilterPlaces, matched: Match) -> None:
    """Note which taps and which biases the match takes to be equal."""
    rotated, kept, (there, here) = places.pairs(matched.numbers)
    ties.add(1, rotated, kept)
    bias = context.given(2)
    if isinstance(bias, np.ndarray) and bias.size == matched.numbers.shape[1]:
        ties.add(2, there, here)


def _report(context: Context, matched: Match) -> None:
    context.mismatch = matched.mismatch
    if matched.unmatched is not None:
        place, distance = matched.unmatched
        nearest = (
            f"the nearest differs by {distance:.2g} of the largest weight"
            if np.isfinite(distance)
            else "none reads the same channels"
        )
        generator = context.generator.name
        context.note = f"has no filter equal to its filter {place} after {generator}: {nearest}"


def _linear(context: Context) -> Bound:
    weights = read_weights(context)
    inner = context.image().bound
    quantised = context.node.op.startswith("QLinear")
    if weights is None or quantised:
        return UNKNOWN
    low, high = min(inner.low, 0.0), max(inner.high, 0.0)  # zero is what pads
    zero = context.constant(2) if weights.exact and context.node.op.endswith("Integer") else None
    if zero is not None:
        shift = float(zero.reshape(-1)[0])
        low, high = min(inner.low - shift, 0.0), max(inner.high - shift, 0.0)
    rows = weights.matrix.reshape(len(weights.matrix), -1)
    positive, negative = rows.clip(min=0).sum(axis=1), rows.clip(max=0).sum(axis=1)
    offset = weights.extras[:, 0]
    norm = float((positive - negative).max(initial=0))
    partial = times(norm, max(-low, high)) + float(np.abs(offset).max(initial=0))
    if context.unmoved and not context.holds(partial):
        return UNKNOWN  # a part of a sum may be infinite where the whole is not
    deviation = times(norm, inner.deviation)
    if context.mismatch is not None:
        deviation += times(context.mismatch.factor, max(-low, high)) + context.mismatch.offset
    whole = inner.whole and bool((rows % 1 == 0).all() and (offset % 1 == 0).all())
    least = (positive * low + negative * high + offset).min()
    most = (positive * high + negative * low + offset).max()
    # A sum starts from 0.0, to which products add no -0.0; a bias, a factor or a transposed
    # convolution may bring one. So may a product below zero that is too small for floats, where it
    # is added before it is rounded; a sum that moves has lost its bits anyway if not all is whole.
    plain = context.node.op in ("Conv", "MatMul", "Gemm")
    plain &= (context.node.get("alpha", 1.0), context.node.get("beta", 1.0)) == (1.0, 1.0)
    plain &= not (np.signbit(offset) & (offset == 0)).any()
    plain &= not context.unmoved or inner.whole or (inner.low >= 0 and bool((rows >= 0).all()))
    return Bound(float(least), float(most), whole, deviation, signed_zero=not plain)


def linear_magnitude(context: Context) -> float:
    """Return the largest magnitude that a partial sum of a linear node can have.

    Infinity if not all terms are integers, so that no partial sum need be one.
    """
    weights, inner = read_weights(context), context.image().bound
    magnitude = inner.magnitude
    if weights is None or not inner.whole or not math.isfinite(magnitude):
        return math.inf
    if (context.node.get("alpha", 1.0), context.node.get("beta", 1.0)) != (1.0, 1.0):
        return math.inf  # the sum is scaled after it was taken: 0 times it is -0.0 or NaN as well
    if not ((weights.matrix % 1 == 0).all() and (weights.extras % 1 == 0).all()):
        return math.inf
    rows = np.abs(weights.matrix).reshape(len(weights.matrix), -1).sum(axis=1)
    return float((rows * magnitude + np.abs(weights.extras[:, 0])).max(initial=0))


def _whole(name: str, versions: tuple[int, ...], integers: Exact = "always") -> Operator:
    return Operator(
        name,
        versions,
        convolve if "Conv" in name else multiply,
        bound=_linear,
        integers=integers,
        floats="whole",
        response="smooth",
        partial_sums=linear_magnitude,
        blind_to_zeros=True,
        any_axis=name == "MatMul",
        image_by_image=name in ("Conv", "ConvTranspose"),
    )


OPERATORS: Final = (
    _whole("Conv", (1, 11, 22)),
    _whole("ConvInteger", (10,)),
    _whole("ConvTranspose", (1, 11, 22)),
    _whole("Gemm", (9, 11, 13)),
    _whole("MatMul", (9, 13)),
    _whole("MatMulInteger", (10,)),
    Operator("QLinearConv", (10,), convolve, bound=_linear, integers="always", response="step"),
    Operator(
        "QLinearMatMul", (10, 21), multiply, bound=_linear, integers="always", response="step"
    ),
    Operator(
        "Einsum",
        (12,),
        einsum,
        integers="always",
        response="smooth",
        any_axis=True,
        blind_to_zeros=True,
    ),
)
