"""The integers of a network, whatever operators they are written with.

An activation is an unsigned 8-bit integer ``q`` and means ``scale * (q - zero)``, one scale for a
tensor. A weight is a signed integer and means ``scale * w``, one scale for a filter. A filter and
its rotated copies have the same largest weight and the same sums, hence the same scale and the same
integers: what is equivariant stays so in every bit. Source: Jacob et al., "Quantization and
Training of Neural Networks for Efficient Integer-Arithmetic-Only Inference", CVPR 2018.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from export.quantize.chain import Chain, Convolution, Move, UnsupportedError
from export.quantize.ranges import Ranges

WEIGHT_LIMIT: Final = 64
"""Largest magnitude of a weight.

CPUs without VNNI add two products of 8 bits in 16 bits and saturate there, in pairs that a rotation
of the image rearranges. With this limit they cannot: ``2 * 255 * 64 < 2**15``.
"""

LARGEST_SUM: Final = 2**24
"""Below it lies the largest sum of a filter that any image gives: float32 holds every integer."""

LARGEST_BIAS: Final = LARGEST_SUM // 2
"""Largest magnitude of a bias, in units of its filter."""

_COARSER: Final = 1 + 2**-10
"""By how much more than in proportion a scale grows where sums are too large: rounding adds."""

_SMALLEST_SCALE: Final = 1e-30
"""Of a filter: products of it with other scales are no zeros."""

_LEVELS: Final = 255


@dataclass(frozen=True)
class Quantised:
    """What the integers of a tensor mean: ``scale * (q - zero)``."""

    scale: np.float32
    zero: int


@dataclass(frozen=True, eq=False)
class IntegerMap:
    """A linear map of integers, ``accumulator = sum(w * (q - zero)) + bias``.

    Attributes
    ----------
    weight : int8 [F, ...]
    scales : float32 [F]
        What one unit of a weight means.
    bias : int32 [F]
        In units of ``scales * input.scale``.
    input
        What the integers mean that it reads.
    """

    weight: NDArray[np.int8]
    scales: NDArray[np.float32]
    bias: NDArray[np.int32]
    input: Quantised

    def largest_sums(self) -> NDArray[np.int64]:
        """Return how large a partial sum of each filter may become: int64 [F]."""
        most = max(self.input.zero, _LEVELS - self.input.zero)
        magnitudes = np.abs(self.weight.astype(np.int64)).reshape(len(self.weight), -1).sum(1)
        return magnitudes * most + np.abs(self.bias.astype(np.int64))


@dataclass(frozen=True, eq=False)
class IntegerConvolution:
    """A convolution of integers to integers; what lies below zero is cut off by ``output``."""

    name: str
    map: IntegerMap
    output: Quantised
    tensor: str
    window: Mapping[str, Any]


@dataclass(frozen=True, eq=False)
class IntegerNetwork:
    """Layers of integers and a linear map whose accumulators, scaled, are the logits."""

    chain: Chain
    layers: tuple[IntegerConvolution | Move, ...]
    head: IntegerMap


def quantize(chain: Chain, ranges: Ranges) -> IntegerNetwork:
    """Choose the integers of a network.

    Parameters
    ----------
    ranges
        Of each convolution's output, as ``measure_ranges`` measures them.

    Raises
    ------
    UnsupportedError
        If grey level zero means nothing between the smallest and the largest one.
    """
    zero = round(chain.shift / chain.factor)
    if not 0 <= zero <= _LEVELS:
        raise UnsupportedError(
            f"The mean grey level is {zero}; one between 0 and {_LEVELS} is accepted."
        )
    image = current = Quantised(np.float32(chain.factor), zero)
    # The zero point is a whole grey level and the mean need not be: the biases take the rest.
    rest = chain.shift - chain.factor * zero
    layers: list[IntegerConvolution | Move] = []
    for layer in chain.layers:
        if isinstance(layer, Move):
            layers.append(layer)
            continue
        bias = layer.bias
        if current is image:
            bias = bias - rest * layer.weight.reshape(len(bias), -1).sum(1)
        output = _activation(*ranges[layer.output])
        inner = _integer_map(layer.weight, bias, current)
        layers.append(_convolution(layer, inner, output))
        current = output
    if current is image:
        raise UnsupportedError("The file has no convolution; one with at least one is accepted.")
    return IntegerNetwork(chain, tuple(layers), _integer_map(chain.weight, chain.bias, current))


def _convolution(layer: Convolution, inner: IntegerMap, output: Quantised) -> IntegerConvolution:
    return IntegerConvolution(layer.name, inner, output, layer.output, layer.window)


def _activation(low: float, high: float) -> Quantised:
    """Lay the integers over a range and zero; after a ReLU, ``low`` is zero, which cuts it off."""
    low, high = min(low, 0.0), max(high, 0.0)
    scale = np.float32((high - low) / _LEVELS) or np.float32(1)
    return Quantised(scale, round(-low / float(scale)))


def _integer_map(
    weight: NDArray[np.float64], bias: NDArray[np.float64], given: Quantised
) -> IntegerMap:
    largest = np.abs(weight).reshape(len(weight), -1).max(1)
    # Beside a bias of millions of units, weights may as well be coarser, or nothing: they are those
    # of a filter that training has let go of.
    least = np.maximum(np.abs(bias) / (float(given.scale) * LARGEST_BIAS), _SMALLEST_SCALE)
    counts = (largest > 0) | (bias != 0)
    scales = np.where(counts, np.maximum(largest / WEIGHT_LIMIT, least), 1).astype(np.float32)
    while True:
        found = _rounded(weight, bias, scales, given)
        excess = found.largest_sums() / (LARGEST_SUM - 1)
        if (excess <= 1).all():
            return found
        # Sums of magnitudes are whole numbers, the same for a filter and its rotated copies.
        scales = np.where(excess > 1, scales * excess * _COARSER, scales).astype(np.float32)


def _rounded(
    weight: NDArray[np.float64],
    bias: NDArray[np.float64],
    scales: NDArray[np.float32],
    given: Quantised,
) -> IntegerMap:
    units = scales.astype(np.float64)
    columns = [1] * (weight.ndim - 1)
    integers = np.rint(weight / units.reshape(-1, *columns)).clip(-WEIGHT_LIMIT, WEIGHT_LIMIT)
    return IntegerMap(
        weight=integers.astype(np.int8),
        scales=scales,
        bias=np.rint(bias / (units * float(given.scale))).astype(np.int32),
        input=given,
    )
