"""Bounds of what moves entries, chooses among them, or computes with each by itself."""

import math
from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from audit.proof.bounds.known import UNBOUNDED, Rule, times
from audit.proof.graph import Array
from audit.proof.rules.movement import MOVEMENT
from audit.proof.rules.pointwise import affine_form, along
from audit.proof.site import Bound, Site

_FLOAT_TYPES, _WIDE_TYPES = (1, 10, 11, 16), (6, 7)


def hull(site: Site) -> Bound:
    """Bound what consists of entries of the inputs: moved entries, maxima, means."""
    bounds = [value.bound for value in site.tracked]
    bounds += [_constant(value) for value in site.inputs if isinstance(value, np.ndarray)]
    return Bound(
        min(bound.low for bound in bounds),
        max(bound.high for bound in bounds),
        all(bound.whole for bound in bounds),
        max(bound.deviation for bound in bounds),
    )


def _constant(value: Array) -> Bound:
    if not value.size or value.dtype.kind not in "iufb":
        return Bound(*UNBOUNDED)
    whole = bool(np.all(value == np.floor(value)))
    return Bound(float(value.min()), float(value.max()), whole)


def _moved(site: Site) -> Bound:
    """Bound what holds entries of the first input alone, whatever the others say."""
    if site.node.op == "Concat":
        return hull(site)
    inner = site.tracked[0].bound
    if site.node.op == "Pad" and site.node.get("mode", "constant") == "constant":
        value = site.constant(2)
        filling = _constant(np.ravel(site.node.get("value", 0.0) if value is None else value))
        low, high = min(inner.low, filling.low), max(inner.high, filling.high)
        return Bound(low, high, inner.whole and filling.whole, inner.deviation)
    return inner


def _first(site: Site) -> Bound:
    return site.tracked[0].bound


def _arithmetic(site: Site) -> Bound:
    """Sums, differences, products: of tensors, or of one with constants."""
    constants = [value for value in site.inputs if isinstance(value, np.ndarray)]
    if len(site.tracked) == 1 and constants:
        return _affine(site, constants)
    if site.node.op == "Div" or constants:
        return Bound(*UNBOUNDED, deviation=math.inf)
    bounds = [value.bound for value in site.tracked]
    whole = all(bound.whole for bound in bounds)
    if site.node.op in ("Add", "Sum"):
        low, high = sum(bound.low for bound in bounds), sum(bound.high for bound in bounds)
        return Bound(low, high, whole, sum(bound.deviation for bound in bounds))
    a, b = bounds
    if site.node.op == "Sub":
        return Bound(a.low - b.high, a.high - b.low, whole, a.deviation + b.deviation)
    ends = [times(x, y) for x in (a.low, a.high) for y in (b.low, b.high)]
    # a b - a' b' = a (b - b') + b' (a - a'), and both tensors are in range for every image.
    deviation = times(a.magnitude, b.deviation) + times(b.magnitude, a.deviation)
    return Bound(min(ends), max(ends), whole, deviation)


def _batch_normalisation(site: Site) -> Bound:
    found = _affine(site, [along(site, site.required(place), 1) for place in range(1, 5)])
    # Whether floats stay whole depends on how a runtime divides by the root.
    return Bound(found.low, found.high, False, found.deviation)


def _affine(site: Site, constants: list[Array]) -> Bound:
    form = affine_form(site, constants)
    if form is None or not (np.isfinite(form[0]).all() and np.isfinite(form[1]).all()):
        return Bound(*UNBOUNDED, deviation=math.inf)
    inner = site.tracked[0].bound
    factor, offset = np.broadcast_arrays(*form)
    ends = [
        times(float(a), edge) + float(b)
        for a, b in {*zip(factor.ravel().tolist(), offset.ravel().tolist(), strict=True)}
        for edge in (inner.low, inner.high)
    ]
    deviation = times(float(np.abs(factor).max()), inner.deviation)
    if site.mismatch is not None:
        deviation += times(site.mismatch.factor, inner.magnitude) + site.mismatch.offset
    whole = inner.whole and bool((factor % 1 == 0).all() and (offset % 1 == 0).all())
    return Bound(min(ends), max(ends), whole, deviation)


def _clip(site: Site) -> Bound:
    least, most = site.constant(1), site.constant(2)
    low = site.node.get("min", -math.inf) if least is None else float(least.item())
    high = site.node.get("max", math.inf) if most is None else float(most.item())
    inner = site.image().bound
    ends = (min(max(inner.low, low), high), min(max(inner.high, low), high))
    whole = inner.whole and all(math.isinf(end) or end % 1 == 0 for end in (low, high))
    return Bound(*ends, whole, inner.deviation)


def _cast(site: Site) -> Bound:
    inner = site.image().bound
    # To float: the same in real arithmetic. To integers: cut off, where they do not wrap around.
    if site.node["to"] in _FLOAT_TYPES:
        return inner
    low, high = math.floor(inner.low) if math.isfinite(inner.low) else inner.low, inner.high
    small = inner.magnitude < 2**31 and site.node["to"] in _WIDE_TYPES
    small |= site.node["to"] == 2 and inner.low >= 0 and inner.high < 256
    small |= site.node["to"] == 3 and inner.low >= -128 and inner.high < 128
    if not small:
        return Bound(*UNBOUNDED, whole=True, deviation=math.inf)
    return Bound(low, math.ceil(high), True, _stepped(inner.deviation))


def _stepped(deviation: float) -> float:
    """Bound the deviation after rounding: values that are near may be rounded apart by one."""
    return deviation + 1 if deviation else 0.0


def _rounded(site: Site) -> Bound:
    inner = site.image().bound
    if inner.whole:
        return inner
    return Bound(_floor(inner.low), -_floor(-inner.high), True, _stepped(inner.deviation))


def _floor(value: float) -> float:
    return math.floor(value) if math.isfinite(value) else value


def _quantised(site: Site) -> Bound:
    inner, scale, zero = site.image().bound, site.required(1), site.constant(2)
    dtype = np.dtype(np.uint8) if zero is None else zero.dtype
    steps = _stepped(inner.deviation / float(np.abs(scale).min() or math.nan))
    if dtype.kind not in "iu":
        return Bound(*UNBOUNDED, whole=False, deviation=math.inf)
    limits = np.iinfo(dtype)
    return Bound(float(limits.min), float(limits.max), True, steps)


def _dequantised(site: Site) -> Bound:
    inner, scale, zero = site.image().bound, site.required(1), site.constant(2)
    zeros = [0.0] if zero is None else np.unique(zero).astype(float).tolist()
    factors = np.unique(scale).astype(float).tolist()
    ends = [
        times(factor, edge - shift)
        for factor in factors
        for shift in zeros
        for edge in (inner.low, inner.high)
    ]
    largest = max(map(abs, factors))
    return Bound(min(ends), max(ends), False, times(largest, inner.deviation))


def _monotone(function: Callable[[float], float], steepest: float, *, whole: bool = False) -> Rule:
    """Bound an increasing function with a largest slope."""

    def rule(site: Site) -> Bound:
        inner = site.image().bound
        ends = (function(inner.low), function(inner.high))
        return Bound(*ends, whole and inner.whole, times(steepest, inner.deviation))

    return rule


def _absolute(site: Site) -> Bound:
    inner = site.image().bound
    return Bound(0.0, inner.magnitude, inner.whole, inner.deviation)


def _negative(site: Site) -> Bound:
    inner = site.image().bound
    return Bound(-inner.high, -inner.low, inner.whole, inner.deviation)


def _leaky(site: Site) -> Bound:
    slope = site.node.get("alpha", 0.01)
    if not 0 <= slope <= 1:
        return Bound(*UNBOUNDED, deviation=math.inf)
    return _monotone(lambda x: x if x > 0 else slope * x, 1.0)(site)


def _elu(site: Site) -> Bound:
    alpha = site.node.get("alpha", 1.0)
    if not 0 <= alpha <= 1:
        return Bound(*UNBOUNDED, deviation=math.inf)
    return _monotone(lambda x: x if x > 0 else alpha * math.expm1(x), 1.0)(site)


def _probabilities(site: Site) -> Bound:
    """Bound softmax: the row sums of its derivative are ``2 p (1 - p) <= 1 / 2``."""
    return Bound(0.0, 1.0, False, site.image().bound.deviation / 2)


ENTRYWISE: Final[Mapping[str, Rule]] = {
    **dict.fromkeys(MOVEMENT, _moved),
    **dict.fromkeys(["GlobalMaxPool", "MaxPool", "ReduceMax", "ReduceMin"], _first),
    **dict.fromkeys(["Max", "Min"], hull),
    **dict.fromkeys(["Add", "Div", "Mul", "Sub", "Sum"], _arithmetic),
    **dict.fromkeys(["Ceil", "Floor", "Round"], _rounded),
    "Abs": _absolute,
    "BatchNormalization": _batch_normalisation,
    "Cast": _cast,
    "Clip": _clip,
    "DequantizeLinear": _dequantised,
    "Elu": _elu,
    "LeakyRelu": _leaky,
    "Neg": _negative,
    "QuantizeLinear": _quantised,
    "Relu": _monotone(lambda x: max(x, 0.0), 1.0, whole=True),
    "Sigmoid": _monotone(lambda x: (1 + math.tanh(x / 2)) / 2, 0.25),
    "Softmax": _probabilities,
    "Tanh": _monotone(math.tanh, 1.0),
}
