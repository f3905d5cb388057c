"""Operators that compute every entry from one entry of each input.

With constants, such an operator is one function an entry; constants that differ give functions that
differ, so that a bias or a scale that is not the same all over an orbit is noticed.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from audit.proof.graph import Array, Stop
from audit.proof.numbering import Numbers
from audit.proof.rules.movement import Rule
from audit.proof.site import Mismatch, Site

_SYMMETRIC = frozenset({"Add", "And", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "Equal", "Max"})
_SYMMETRIC |= {"Mean", "Min", "Mul", "Or", "Sum", "Xor"}


def pointwise(site: Site) -> list[Numbers]:
    """Number a function of entries that stand in the same place, after broadcasting."""
    tracked, rank = site.tracked, site.tracked[0].numbers.ndim
    constants = [
        (place, value) for place, value in enumerate(site.inputs) if isinstance(value, np.ndarray)
    ]
    if any(value.numbers.ndim != rank for value in tracked) or any(
        value.ndim > rank or (value.ndim == rank and value.shape[0] != 1) for _, value in constants
    ):
        raise Stop("combines tensors such that images of a batch could meet")
    if len(tracked) == 1:
        return [_one(site, dict(constants))]
    arrays = [value.numbers for value in tracked]
    arrays += [site.numbering.constants(value) for _, value in constants]
    arrays = list(np.broadcast_arrays(*arrays))
    if len(arrays) == 2:
        for pair in (arrays, arrays[::-1]):
            if (quick := site.numbering.pairs(*pair)) is not None:
                return [quick]
    rows = np.stack(arrays, axis=-1)
    if site.node.op in _SYMMETRIC:
        return [site.numbering.multisets(rows)]
    return [site.numbering.rows(rows)]


def affine(site: Site) -> list[Numbers]:
    """Batch normalisation with fixed statistics."""
    if site.node["training_mode"] or any(site.node.outputs[1:]):
        raise Stop("normalises by the statistics of the batch")
    if site.node.get("spatial", 1) != 1:
        raise Stop("normalises every entry apart, as only old versions of ONNX do")
    if (site.required(4) + site.node.get("epsilon", 1e-5) <= 0).any():
        raise Stop("divides by the root of a variance that is not positive")
    return [_one(site, {place: along(site, site.required(place), 1) for place in range(1, 5)})]


def quantise(site: Site) -> list[Numbers]:
    """Quantise or dequantise, with one scale or one for each channel."""
    if site.node.get("block_size", 0):
        raise Stop("has a scale for each block of entries, which is not followed")
    axis = site.node.get("axis", 1)
    values = {place: site.constant(place) for place in (1, 2)}
    given = {place: along(site, v, axis) for place, v in values.items() if v is not None}
    return [_one(site, given)]


def along(site: Site, constant: Array, axis: int) -> Array:
    """Lay a constant ``[C]`` along an axis of the first input; one number stays one number."""
    if constant.size == 1:
        return constant.reshape(())
    rank = site.image().numbers.ndim
    sides = [1] * rank
    sides[site.axis(axis, rank)] = constant.size
    return constant.reshape(sides)


def _one(site: Site, given: Mapping[int, Array]) -> Numbers:
    """Number a function of one entry and constants, which are given by their places."""
    constants = list(given.values())
    x = site.tracked[0]
    # Clip with a smallest value alone is another function than Clip with a largest value alone.
    function = (site.node.function, tuple(type(value).__name__ for value in site.inputs))
    if not constants:
        return site.numbering.apply(function, x.numbers)
    parameters = _tuples(site, constants)
    shape = np.broadcast_shapes(x.numbers.shape, parameters.shape)
    numbers = np.broadcast_to(x.numbers, shape)
    applied = site.numbering.apply(function, numbers, parameters)
    if site.tolerance and (snapped := _snap(site, numbers, applied, constants)) is not None:
        applied = snapped
    if site.ties is not None:
        for place, value in given.items():
            site.ties.add_entries(place, value.shape, applied)
    return applied


def _tuples(site: Site, constants: Sequence[Array]) -> Numbers:
    numbers = [site.numbering.constants(value) for value in constants]
    if len(numbers) == 1:
        return numbers[0]
    rows = np.ascontiguousarray(np.stack(np.broadcast_arrays(*numbers), axis=-1))
    return site.numbering.constants(rows.view(f"V{rows.itemsize * len(numbers)}")[..., 0])


def _snap(
    site: Site, numbers: Numbers, applied: Numbers, constants: Sequence[Array]
) -> Numbers | None:
    """Let constants that nearly tie count as tied; None if there are none."""
    form = affine_form(site, constants)
    if form is None:
        return None
    factor, offset = form
    if not (_nearly_tied(factor, site.tolerance) or _nearly_tied(offset, site.tolerance)):
        return None
    here, turned = numbers[0].reshape(-1), numbers[1].reshape(-1)
    order = np.argsort(here, kind="stable")
    found = np.searchsorted(here[order], turned).clip(max=len(here) - 1)
    place = order[found]
    known = here[place] == turned
    shape = numbers.shape
    factor, offset = (np.broadcast_to(v, shape)[0].reshape(-1) for v in (factor, offset))
    differences = [np.abs(value[place] - value) * known for value in (factor, offset)]
    close = known.copy()
    relative = 0.0
    for value, difference in zip((factor, offset), differences, strict=True):
        largest = float(np.abs(value).max()) or 1.0
        close &= difference <= site.tolerance * largest
        relative = max(relative, float(difference[close].max(initial=0)) / largest)
    if relative == 0:
        return None
    site.mismatch = Mismatch(relative, *(float(d[close].max(initial=0)) for d in differences))
    snapped = applied.reshape(2, -1).copy()
    snapped[1, close] = snapped[0, place[close]]
    return snapped.reshape(shape)


def _nearly_tied(values: Array, tolerance: float) -> bool:
    steps = np.diff(np.unique(values))
    return bool((steps <= tolerance * np.abs(values).max(initial=0)).any())


def affine_form(site: Site, constants: Sequence[Array]) -> tuple[Array, Array] | None:
    """Return ``a`` and ``b`` if the operator with these constants is ``a x + b``."""
    one, zero = np.ones(()), np.zeros(())
    values = [value.astype(np.float64) for value in constants]
    first, x = isinstance(site.inputs[0], np.ndarray), site.tracked[0]
    match site.node.op:
        case "Add" | "Sum":
            return one, np.asarray(sum(values))
        case "Sub":
            return (-one, values[0]) if first else (one, -values[0])
        case "Mul":
            return values[0], zero
        case "Div" if not first and x.dtype is not None and x.dtype.kind == "f":
            return 1 / values[0], zero
        case "BatchNormalization":
            scale, shift, mean, variance = values
            factor = scale / np.sqrt(variance + site.node.get("epsilon", 1e-5))
            return factor, shift - mean * factor
    return None


_PLAIN = """
Abs Acos Acosh Add And Asin Asinh Atan Atanh BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor
Cast Ceil Celu Clip Cos Cosh Div Elu Equal Erf Exp Floor Gelu Greater GreaterOrEqual HardSigmoid
HardSwish IsInf IsNaN LeakyRelu Less LessOrEqual Log Max Mean Min Mish Mod Mul Neg Not Or PRelu Pow
Reciprocal Relu Round Selu Shrink Sigmoid Sign Sin Sinh Softplus Softsign Sqrt Sub Sum Swish Tan
Tanh ThresholdedRelu Where Xor
"""

POINTWISE: Final[Mapping[str, Rule]] = {
    **dict.fromkeys(_PLAIN.split(), pointwise),
    "BatchNormalization": affine,
    "DequantizeLinear": quantise,
    "QuantizeLinear": quantise,
}
