"""Constants that a graph computes from constants.

ONNX's reference implementation computes them, and, where one is handed in, a runtime as well: if
the two differ in a bit, nobody knows which of them is served.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import onnx

from audit.proof.file.node import Array, Node, Unsupported
from audit.proof.file.types import extremes, is_exchanged, is_float, is_integer, significand
from audit.proof.limits import Budget
from audit.proof.operators import MOVES, OPERATORS
from audit.proof.operators.movement import refuse_backward_ends
from audit.proof.values.sizes import NO_AXIS, shape_of

Runtime = Callable[[onnx.ModelProto, Mapping[str, Array]], Sequence[Array]]
"""Runs a model of one node on arrays by name, and returns its outputs."""

_TRIVIAL: Final = {"Constant", "Identity", "Size"}
_ON_INTEGERS: Final = {
    *("Div", "Max", "Min", "Mod", "ReduceMax", "ReduceMin", "ReduceProd", "ReduceSum", "Sum")
}
"""Of which no doubt is possible where small integers, none of them negative, are computed with."""
_ROUNDED_ONCE: Final = {"Ceil", "Clip", "Div", "Floor", "Relu", "Round", "Sqrt"}
"""Of which IEEE 754 says the bits, where all is finite."""


def fold(
    node: Node, arrays: Sequence[Array | None], runtime: Runtime | None, budget: Budget
) -> list[Array]:
    """Compute a node's outputs from constants.

    Raises
    ------
    Unsupported
        If this is not known to be the same everywhere, or is seen not to be.
    ProofLimitError
        If the outputs are too large.
    """
    operator = OPERATORS.get(node.op)
    if operator is None or operator.folding == "never" or node.version not in operator.versions:
        raise Unsupported("computes constants in a way that is not followed")
    budget.reserve(16 * _size(node, arrays))
    if node.op == "DequantizeLinear":
        return [_dequantise(node, arrays)]
    if node.op == "Shape" and arrays[0] is not None:
        # ONNX's reference counts an end from before the first axis once more from the last.
        return [np.array(shape_of(node, arrays[0].shape), np.int64)]
    _refuse_doubtful(node, arrays)
    with np.errstate(all="ignore"):
        values = node.evaluate(arrays)
    if node.op in _TRIVIAL:
        return values
    if runtime is not None:
        model, feeds = node.alone(arrays)
        theirs = attempt(runtime, model, feeds)
        if theirs is not None and not all(map(same, values, theirs)):
            raise Unsupported("computes constants of which the runtime makes something else")
        if theirs is not None:
            return values
    plain = operator.folding == "agreed" and not _is_rounded(node, arrays, values)
    if not plain and not _is_plain(node, arrays, values):
        raise Unsupported("computes constants in a way that no runtime has confirmed")
    return values


def attempt(
    runtime: Runtime, model: onnx.ModelProto, feeds: Mapping[str, Array]
) -> Sequence[Array] | None:
    """Run a model; None if the runtime cannot."""
    try:
        return list(runtime(model, feeds))
    except Exception:  # runtimes have exceptions of their own for what they lack
        return None


def _is_rounded(node: Node, arrays: Sequence[Array | None], values: Sequence[Array]) -> bool:
    """Whether numbers are rounded to a type of few bits, or clipped: runtimes differ in how."""
    first = arrays[0] if arrays else None
    if node.op in MOVES or first is None or all(map(is_exchanged, (v.dtype for v in values))):
        return False
    if node.op != "Cast":
        return True
    with np.errstate(all="ignore"):
        return not np.array_equal(first.astype(np.float64), values[0].astype(np.float64))


def same(a: Array, b: Array) -> bool:
    """Whether two arrays are equal in type, shape and every bit, but for the kind of NaN."""
    b = np.asarray(b)
    if a.dtype.name != b.dtype.name or a.shape != b.shape:
        return False
    if a.dtype.kind == "f":
        missing = np.isnan(a)
        if not np.array_equal(missing, np.isnan(b)):
            return False
        a, b = np.where(missing, 0, a), np.where(missing, 0, b)
    return np.ascontiguousarray(a).tobytes() == np.ascontiguousarray(b).tobytes()


def _refuse_doubtful(node: Node, arrays: Sequence[Array | None]) -> None:
    """Refuse values of which the standard leaves open what becomes of them."""
    first = arrays[0] if arrays else None
    if node.op == "Constant" and len(node.attributes) != 1:
        raise Unsupported("gives several values, of which runtimes take the one that comes first")
    if node.op == "Slice" and first is not None:
        for axis, start, end, step in _slices(node, arrays):
            refuse_backward_ends(start, end, step, first.shape[axis])
    if node.op == "Squeeze":
        named = node["axes"] if len(arrays) < 2 else arrays[1]
        if named is not None and not np.size(named):
            raise Unsupported(NO_AXIS)
    if node.op == "Cast" and first is not None and is_float(first.dtype):
        target = onnx.helper.tensor_dtype_to_np_dtype(node["to"])
        if is_integer(target) and target.name != "bool":
            low, high = extremes(target)
            numbers = first.astype(np.float64)
            inside = np.isfinite(numbers) & (numbers >= low) & (numbers <= high)
            if not inside.all():
                raise Unsupported(f"casts constants out of the range of {target.name}")
    if node.op in ("Div", "Mod") and len(arrays) > 1:
        divisor = arrays[1]
        if divisor is not None and is_integer(divisor.dtype):
            if (divisor == 0).any():
                raise Unsupported("divides an integer by 0")
            # Of 1 / x times y onnxruntime makes y / x.
            least = first is not None and np.isin(first, (extremes(first.dtype)[0], 1)).any()
            if least and (divisor == -1).any():
                raise Unsupported("divides the least integer, or 1, by -1")  # which ends processes


def _slices(node: Node, arrays: Sequence[Array | None]) -> list[tuple[int, int, int, int]]:
    if node["starts"] is not None:
        starts, ends, axes, steps = node["starts"], node["ends"], node["axes"], None
    else:
        given = [None if a is None else np.ravel(a).tolist() for a in [*arrays, None, None]]
        starts, ends, axes, steps = given[1] or [], given[2] or [], given[3], given[4]
    axes = list(range(len(starts))) if axes is None else axes
    steps = [1] * len(starts) if steps is None else steps
    return list(zip(axes, starts, ends, steps, strict=True))


def _is_plain(node: Node, arrays: Sequence[Array | None], values: Sequence[Array]) -> bool:
    """Whether every implementation that keeps to the standard gives these bits."""
    given = [value for value in arrays if value is not None]
    everything = [*given, *values]
    if node.op in _ON_INTEGERS and all(is_integer(value.dtype) for value in everything):
        return all(not v.size or 0 <= v.min() <= v.max() < 2**31 for v in everything)
    if node.op in _ROUNDED_ONCE:
        return all(v.dtype.kind == "f" and bool(np.isfinite(v).all()) for v in everything)
    return False


def _dequantise(node: Node, arrays: Sequence[Array | None]) -> Array:
    """Dequantise a constant, also one axis of many numbers with a scale of one."""
    x, scale, zero = (*arrays, None)[:3]
    if x is None or scale is None or node.get("block_size", 0):
        raise Unsupported("has a scale for each block of entries, which is not followed")
    if not is_integer(x.dtype) or scale.dtype.kind != "f":
        raise Unsupported("dequantises constants that are no integers")
    integers = x.astype(np.int64)

    def laid(values: Array) -> Array:
        if values.size == 1:
            return values.reshape(())
        axis = node.get("axis", 1)
        sides = [1] * x.ndim
        if values.ndim != 1 or not -x.ndim <= axis < x.ndim or x.shape[axis] != values.size:
            raise Unsupported("has a scale for neither one axis nor the whole")
        sides[axis] = values.size
        return values.reshape(sides)

    if zero is not None:
        integers = integers - laid(zero.astype(np.int64))
    bits = significand(scale.dtype)
    if np.abs(integers).max(initial=0) >= 2**bits:
        # Such a number is rounded to a float before it is scaled, or after.
        raise Unsupported(f"dequantises integers beyond 2^{bits}")
    with np.errstate(over="ignore"):
        return np.asarray(integers.astype(scale.dtype) * laid(scale), scale.dtype)


def _size(node: Node, arrays: Sequence[Array | None]) -> int:
    """Return at least how many entries the outputs have, before they are made."""
    given = [value for value in arrays if value is not None]
    total = sum(value.size for value in given)

    def sides(place: int) -> list[int]:
        return [int(side) for side in np.ravel(given[place])]

    match node.op:
        case "Constant":
            value = next(iter(node.attributes.values()), None)
            return int(np.size(value)) if value is not None else 0
        case "ConstantOfShape":
            return _product(sides(0))
        case "Range":
            start, limit, delta = (_number(value) for value in given[:3])
            return max(math.ceil((limit - start) / delta), 0) if delta else 0
        case "Expand":
            return _product(sides(1)) * max(given[0].size, 1)
        case "Tile":
            return _product(sides(1)) * given[0].size
        case "Pad":
            widths = node["pads"] if len(given) < 2 else np.ravel(given[1]).tolist()
            return _product([side + sum(map(abs, widths)) for side in given[0].shape])
        case "Gather":
            side = max(given[0].shape[node.get("axis", 0)], 1)
            return int(given[0].size // side * given[1].size)
    try:
        broadcast = math.prod(np.broadcast_shapes(*(value.shape for value in given)))
    except ValueError:
        return total
    return max(total, broadcast)


def _number(value: Any) -> float:
    return float(np.ravel(value)[0])


def _product(sides: Sequence[int]) -> int:
    return math.prod(max(side, 1) for side in sides)
