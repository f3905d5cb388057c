"""Numbering what is computed of every entry by itself, from one entry of each input.

With constants, such an operator is one function an entry; constants that differ give functions that
differ, so that a bias or a scale that is not the same all over an orbit is noticed.
"""

import math
from collections.abc import Mapping, Sequence
from functools import reduce
from typing import Final

import numpy as np

from audit.proof.file.node import Array, Unsupported
from audit.proof.file.types import is_float, name_of
from audit.proof.values.context import Context, Mismatch, Terms
from audit.proof.values.numbering import Numbers, is_closed, is_unmoved

SYMMETRIC: Final = frozenset(
    {
        *("Add", "And", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Equal", "Max"),
        *("Mean", "Min", "Mul", "Or", "Sum", "Xor"),
    }
)
"""Those to which the order of their inputs does not matter."""

_CHAINS: Final = {"Add": "Add", "Sum": "Add", "Mul": "Mul", "Max": "Max", "Min": "Min"}
"""Those of which a chain is one function of all that goes into it, in whatever order."""

_MOST_TERMS: Final = 32


def pointwise(context: Context) -> list[Numbers]:
    """Number a function of entries that stand in the same place, after broadcasting."""
    tracked = context.tracked
    rank, batch_axis = tracked[0].rank, tracked[0].batch_axis
    if any(value.rank != rank or value.batch_axis != batch_axis for value in tracked):
        raise Unsupported("combines tensors such that images of a batch could meet")
    constants = {place: aligned(context, value) for place, value in context.constants}
    shape = np.broadcast_shapes(
        *(value.numbers.shape for value in tracked), *(v.shape for v in constants.values())
    )
    context.reserve(math.prod(shape[1:]))
    found = one(context, constants) if len(tracked) == 1 else _several(context, constants)
    chain = _CHAINS.get(context.node.op)
    if chain is None or len(context.inputs) < 2:
        return [found]
    terms = context.terms = _terms(context, chain, shape, constants)
    if terms is None or context.unmoved or not _may_close(terms):
        return [found]
    closed = is_closed(found)
    if closed and not _may_be_unmoved(terms):
        return [found]
    gathered = _gathered(context, terms, shape)
    if is_unmoved(gathered) or (not closed and is_closed(gathered)):
        context.reordered = True
        return [gathered]
    return [found]


def _may_close(terms: Terms) -> bool:
    """Whether the first of the rotated image's terms are among the upright image's at all."""
    if len(terms.numbers) < 2 or not all(term.size for term in terms.numbers):
        return False
    firsts = [term[1].reshape(-1)[0] for term in terms.numbers]
    return all(any((term[0] == first).any() for term in terms.numbers) for first in firsts)


def _may_be_unmoved(terms: Terms) -> bool:
    """Whether the rotated image's terms are the upright image's in the first and the last entry."""
    for end in (0, -1):
        here, rotated = (
            sorted(int(term[half].reshape(-1)[end]) for term in terms.numbers) for half in (0, 1)
        )
        if here != rotated:
            return False
    return True


def _gathered(context: Context, terms: Terms, shape: tuple[int, ...]) -> Numbers:
    """Number what a chain makes of its terms, in whatever order."""
    arrays = [*terms.numbers, *map(context.numbering.constants, terms.constants)]
    context.reserve(math.prod(shape[1:]), copies=2 * len(arrays))
    rows = np.stack([np.broadcast_to(array, shape) for array in arrays], axis=-1)
    return context.numbering.multisets(rows)


def aligned(context: Context, value: Array) -> Array:
    """Lay the axes of a constant as those of a tensor's numbers are laid, the batch first."""
    x = context.tracked[0]
    if value.ndim > x.rank:
        raise Unsupported("combines tensors such that images of a batch could meet")
    value = value.reshape([1] * (x.rank - value.ndim) + list(value.shape))
    if value.shape[x.batch_axis] != 1:
        raise Unsupported("combines tensors such that images of a batch could meet")
    return np.moveaxis(value, x.batch_axis, 0)


def along(context: Context, constant: Array, axis: int) -> Array:
    """Lay a constant ``[C]`` along an axis of the first input; one number stays one number."""
    if constant.size == 1:
        return constant.reshape(())
    x = context.image()
    place = context.axis(axis, x)
    if constant.ndim != 1 or constant.size != x.numbers.shape[place]:
        raise Unsupported("has as many parameters as fit neither a tensor nor an axis of it")
    sides = [1] * x.rank
    sides[place] = constant.size
    return constant.reshape(sides)


def _several(context: Context, constants: Mapping[int, Array]) -> Numbers:
    named: list[Numbers] = []
    for place, value in enumerate(context.inputs):
        if place in constants:
            named.append(context.numbering.constants(constants[place]))
        elif value is not None:
            named.append(context.image(place).numbers)
    arrays = list(np.broadcast_arrays(*named))
    if len(arrays) == 2:
        for pair in (arrays, arrays[::-1]):
            if (quick := context.numbering.pairs(*pair)) is not None:
                return quick
    context.reserve(arrays[0][0].size, copies=2 * len(arrays))
    # Which inputs are left out is part of what the node is.
    rows = np.stack(arrays, axis=-1)
    if context.node.op in SYMMETRIC:
        return context.numbering.multisets(rows)
    return context.numbering.rows(rows)


def _terms(
    context: Context, op: str, shape: tuple[int, ...], constants: Mapping[int, Array]
) -> Terms | None:
    """Return what a chain of sums, products or maxima consists of; None if that is too much."""
    numbers: list[Numbers] = []
    others = list(constants.values())
    for value in context.tracked:
        if value.terms is not None and value.terms.op == op and value.numbers.shape == shape:
            numbers += value.terms.numbers
            others += value.terms.constants
        else:
            numbers.append(value.numbers)
    few = len(numbers) + len(others) <= _MOST_TERMS
    return Terms(op, tuple(numbers), tuple(others)) if few else None


def one(context: Context, given: Mapping[int, Array]) -> Numbers:
    """Number a function of one entry and constants, which are given by their places."""
    constants = list(given.values())
    x = context.tracked[0]
    # Clip with a smallest value alone is another function than Clip with a largest value alone.
    kinds = tuple(
        name_of(value.dtype) if isinstance(value, np.ndarray) else type(value).__name__
        for value in context.inputs
    )
    function = (context.node.function, kinds)
    if not constants:
        return context.numbering.apply(function, x.numbers)
    parameters, numbers = _tuples(context, constants), x.numbers
    shape = np.broadcast_shapes(numbers.shape, parameters.shape)
    if shape != numbers.shape:
        numbers = np.broadcast_to(numbers, shape)
    applied = context.numbering.apply(function, numbers, parameters)
    if context.tolerance and (snapped := _snap(context, numbers, applied, constants)) is not None:
        applied = snapped
    if context.ties is not None:
        for place, value in given.items():
            context.ties.add_entries(place, value.shape, applied)
    return applied


def _tuples(context: Context, constants: Sequence[Array]) -> Numbers:
    numbers = [context.numbering.constants(value) for value in constants]
    if len(numbers) == 1:
        return numbers[0]
    rows = np.ascontiguousarray(np.stack(np.broadcast_arrays(*numbers), axis=-1))
    return context.numbering.constants(rows.view(f"V{rows.itemsize * len(numbers)}")[..., 0])


def _snap(
    context: Context, numbers: Numbers, applied: Numbers, constants: Sequence[Array]
) -> Numbers | None:
    """Let constants that nearly tie count as tied; None if there are none."""
    form = affine_form(context, constants)
    if form is None:
        return None
    factor, offset = form
    if not (_nearly_tied(factor, context.tolerance) or _nearly_tied(offset, context.tolerance)):
        return None
    here, rotated = numbers[0].reshape(-1), numbers[1].reshape(-1)
    order = np.argsort(here, kind="stable")
    found = np.searchsorted(here[order], rotated).clip(max=len(here) - 1)
    place = order[found]
    known = here[place] == rotated
    shape = numbers.shape
    factor, offset = (np.broadcast_to(v, shape)[0].reshape(-1) for v in (factor, offset))
    differences = [np.abs(value[place] - value) * known for value in (factor, offset)]
    close = known.copy()
    relative = 0.0
    for value, difference in zip((factor, offset), differences, strict=True):
        largest = float(np.abs(value).max()) or 1.0
        close &= difference <= context.tolerance * largest
        relative = max(relative, float(difference[close].max(initial=0)) / largest)
    if relative == 0:
        return None
    context.mismatch = Mismatch(relative, *(float(d[close].max(initial=0)) for d in differences))
    snapped = applied.reshape(2, -1).copy()
    snapped[1, close] = snapped[0, place[close]]
    return snapped.reshape(shape)


def _nearly_tied(values: Array, tolerance: float) -> bool:
    steps = np.diff(np.unique(values))
    return bool((steps <= tolerance * np.abs(values).max(initial=0)).any())


def affine_form(context: Context, constants: Sequence[Array]) -> tuple[Array, Array] | None:
    """Return ``a`` and ``b`` if the operator with these constants is ``a x + b`` in floats.

    None also where a 64-bit integer is no float64.
    """
    one, zero = np.ones(()), np.zeros(())
    if any(value.dtype.name in ("int64", "uint64") and _is_wide(value) for value in constants):
        return None
    values = [value.astype(np.float64) for value in constants]
    first, x = isinstance(context.inputs[0], np.ndarray), context.tracked[0]
    match context.node.op:
        case "Add" | "Sum":
            return one, np.asarray(reduce(np.add, values))  # 0 + -0.0 would be 0.0
        case "Sub":
            return (-one, values[0]) if first else (one, -values[0])
        case "Mul":
            return values[0], zero
        case "Div" if not first and x.dtype is not None and is_float(x.dtype):
            with np.errstate(divide="ignore"):
                return 1 / values[0], zero
        case "BatchNormalization":
            scale, shift, mean, variance = values
            factor = scale / np.sqrt(variance + context.node.get("epsilon", 1e-5))
            return factor, shift - mean * factor
    return None


def _is_wide(value: Array) -> bool:
    return bool((np.abs(value.astype(np.float64)) >= 2.0**53).any())
