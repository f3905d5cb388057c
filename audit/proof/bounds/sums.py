"""Bounds of sums: means, reductions, convolutions, matrix products."""

import math
from collections.abc import Mapping
from typing import Final

import numpy as np

from audit.proof.bounds.known import UNBOUNDED, Rule, times
from audit.proof.rules.weights import read_weights
from audit.proof.site import Bound, Site


def _mean(site: Site) -> Bound:
    inner = site.tracked[0].bound
    low, high = inner.low, inner.high
    if site.node.op == "AveragePool":  # which may count padding, as zeros
        low, high = min(low, 0.0), max(high, 0.0)
    return Bound(low, high, False, inner.deviation)


def _resized(site: Site) -> Bound:
    inner = site.image().bound
    repeats = site.node.get("mode", "nearest") == "nearest"
    return Bound(inner.low, inner.high, inner.whole and repeats, inner.deviation)


def _sum(site: Site) -> Bound:
    inner, count = site.tracked[0].bound, reduced_count(site)
    return Bound(inner.low * count, inner.high * count, inner.whole, inner.deviation * count)


def reduced_count(site: Site) -> int:
    """Return how many entries a reduction or pooling adds up at most."""
    numbers = site.image().numbers
    if site.node["kernel_shape"]:
        return int(np.prod(site.node["kernel_shape"]))
    if site.node.op.startswith("Global"):
        return int(np.prod(numbers.shape[2:]))
    axes = site.integers("axes", 1) or []
    return int(np.prod([numbers.shape[axis] for axis in axes]))


def _linear(site: Site) -> Bound:
    weights = read_weights(site)
    inner = site.image().bound
    if weights is None or weights.exact:
        return Bound(*UNBOUNDED, whole=True, deviation=math.inf)
    low, high = min(inner.low, 0.0), max(inner.high, 0.0)  # zero is what pads
    rows = weights.matrix.reshape(len(weights.matrix), -1)
    positive, negative = rows.clip(min=0).sum(axis=1), rows.clip(max=0).sum(axis=1)
    offset = weights.extras[:, 0]
    norm = float((positive - negative).max())
    deviation = times(norm, inner.deviation)
    if site.mismatch is not None:
        deviation += times(site.mismatch.factor, max(-low, high)) + site.mismatch.offset
    whole = inner.whole and bool((rows % 1 == 0).all() and (offset % 1 == 0).all())
    with np.errstate(invalid="ignore"):
        least = (positive * low + negative * high + offset).min()
        most = (positive * high + negative * low + offset).max()
    return Bound(float(least), float(most), whole, deviation)


def linear_magnitude(site: Site) -> float:
    """Return the largest magnitude that a partial sum of a linear node can have."""
    weights = read_weights(site)
    if weights is None:
        return math.inf
    rows = np.abs(weights.matrix).reshape(len(weights.matrix), -1).sum(axis=1)
    magnitude = site.image().bound.magnitude
    if not math.isfinite(magnitude):
        return math.inf
    return float((rows * magnitude + np.abs(weights.extras[:, 0])).max())


SUMS: Final[Mapping[str, Rule]] = {
    **dict.fromkeys(["AveragePool", "GlobalAveragePool", "ReduceMean"], _mean),
    **dict.fromkeys(["Conv", "ConvInteger", "Gemm", "MatMul", "MatMulInteger"], _linear),
    **dict.fromkeys(["QLinearConv", "QLinearMatMul"], _linear),
    "ReduceSum": _sum,
    "Resize": _resized,
}
