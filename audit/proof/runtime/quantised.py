"""Which nodes a runtime computes in integers, though the file writes them in floats."""

from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Final

import numpy as np

from audit.proof.file.graph import Graph
from audit.proof.file.node import Array, Node
from audit.proof.file.types import extremes
from audit.proof.values.context import Context
from audit.proof.values.numbering import Numbers, number_rows

_SUMMED: Final = {"Conv", "Gemm", "MatMul"}
"""Operators of which runtimes are known to have kernels over dequantised integers. Pooling, say, is
left out: where such a group is not fused, it averages rounded numbers, in an order
that depends on the rotation."""

_SMALL: Final = ("uint8", "int8")


def have_one_unit(weights: Array, bias: Array | None, units: Sequence[Array]) -> bool:
    """Whether all filters that may tie have the same scales and zero points.

    Filters that tie have the same weights, in some order, and the same bias.

    Parameters
    ----------
    weights : [F, ...]
        As floats.
    bias
        As floats, F of them or one.
    units
        Scales and zero points, each F of them or one.
    """
    several = [unit for unit in units if unit.size > 1]
    added = np.zeros(1) if bias is None else np.ravel(bias)
    if not several:
        return True
    if any(values.size != len(weights) for values in (*several, *[added] * (added.size > 1))):
        return False
    rows = np.sort(weights.reshape(len(weights), -1), axis=1)
    added = np.broadcast_to(added, len(rows))
    filters = [(row.tobytes(), b.tobytes()) for row, b in zip(rows, added, strict=True)]
    of_filters = zip(*(unit.tolist() for unit in several), strict=True)
    return len({*zip(filters, of_filters, strict=True)}) == len({*filters})


def swaps_terms(context: Context, outputs: Sequence[Numbers]) -> bool:
    """Whether entries have equal numbers that are sums of the same two terms in another order.

    onnxruntime multiplies and adds the integers of a quantised sum in one operation, so that a tie
    may be rounded up in one order and down in the other.
    """
    if context.node.op != "Add" or len(context.tracked) < 2:
        return False
    terms = np.broadcast_arrays(*(value.numbers for value in context.tracked))
    pairs = number_rows(np.stack(terms, axis=-1).reshape(-1, 2))
    return len(np.unique(pairs)) > len(np.unique(outputs[0]))


class QuantisedGroups:
    """Finds groups of DequantizeLinear, a sum, and QuantizeLinear.

    Parameters
    ----------
    constants
        Of the graph, also those that it computes.
    """

    def __init__(self, graph: Graph, constants: Mapping[str, Array]) -> None:
        self._graph = graph
        self._constants = constants

    def contain(self, node: Node) -> bool:
        """Whether a node reads dequantised integers alone, and is quantised again at once."""
        if node.op not in _SUMMED or len(node.inputs) < 2:
            return False
        sources = [self._producers.get(name) for name in node.inputs if name]
        if any(source is None or source.op != "DequantizeLinear" for source in sources):
            return False
        read = [source for source in sources if source is not None]
        names = [source.inputs[0] for source in read]
        kinds = [self._kind(name) for name in names]
        if any(kind not in _SMALL for kind in kinds[:2]) or kinds[2:] not in ([], ["int32"]):
            return False
        if not self._graph.replaceable.isdisjoint(name for each in read for name in each.inputs):
            return False  # of a bias whose scale is no constant runtimes leave the floats
        if not self._is_plain(names[0]) or not self._sums_bias(node, read):
            return False
        scale = self._constants.get(read[0].inputs[1])
        if scale is None or scale.size != 1 or scale.dtype != np.float32:
            return False  # of scales in half precision runtimes leave the floats
        if node.op == "Gemm" and not any(read[1].inputs[2:]):
            return False  # without a zero point of the weights runtimes leave it in floats
        weights = self._constants.get(names[1])
        if weights is None or 2 * 255 * np.abs(weights.astype(np.float64)).max(initial=0) >= 2**15:
            return False  # two products of bytes may be added in 16 bits, which saturate
        if not self._have_one_unit(node, read):
            return False
        return self._is_quantised(node.outputs[0])

    def _have_one_unit(self, node: Node, read: Sequence[Node]) -> bool:
        """Whether filters that may tie have the same scales, and so the same integers.

        Of the same floats made of other integers the sums are scaled by other numbers, and rounded
        otherwise.
        """
        weights = self._constants.get(node.inputs[1])
        bias = self._constants.get(node.inputs[2]) if len(read) > 2 else None
        given = [self._constants.get(name) for source in read[1:] for name in source.inputs[1:]]
        units = [np.ravel(value) for value in given if value is not None]
        if weights is None or len(units) < len(given):
            return False
        filters = 0 if node.op == "Conv" or node["transB"] else -1
        return have_one_unit(np.moveaxis(weights, filters, 0), bias, units)

    def _is_plain(self, name: str) -> bool:
        """Whether a tensor of bytes is unsigned, or can be made so with the nodes around it.

        Processors multiply unsigned bytes with signed ones. Of signed ones a runtime makes unsigned
        ones where they are quantised and at once dequantised by the same zero point, which both
        name, and nothing else sees them.
        """
        if self._kind(name) == "uint8":
            return True
        maker, reader = self._producers.get(name), self._only_reader(name)
        if maker is None or reader is None or self._uses(reader.outputs[0]) > 1:
            return False
        if (maker.op, reader.op) != ("QuantizeLinear", "DequantizeLinear"):
            return False
        zero = self._stored_zero(maker)
        return zero is not None and zero == self._stored_zero(reader)

    def _stored_zero(self, node: Node) -> list[int] | None:
        """Return the zero point that a node names, None if there is none, or it may be replaced."""
        name = node.inputs[2] if len(node.inputs) > 2 else ""
        value = None if name in self._graph.replaceable else self._constants.get(name)
        return None if value is None else value.ravel().tolist()

    def _uses(self, name: str) -> int:
        return len(self._readers.get(name, [])) + (name in self._graph.outputs)

    def _only_reader(self, name: str) -> Node | None:
        return self._readers[name][0] if name in self._readers and self._uses(name) == 1 else None

    def _sums_bias(self, node: Node, read: Sequence[Node]) -> bool:
        """Whether a bias, if there is one, is in the unit of the sum, as integers are added."""
        if len(read) < 3:
            return True
        if node.get("alpha", 1.0) != 1 or node.get("beta", 1.0) != 1:
            return False
        scales = [self._constants.get(source.inputs[1]) for source in read]
        if any(scale is None for scale in scales):
            return False
        x, weights, bias = (np.ravel(scale) for scale in scales if scale is not None)
        zeros = [self._constants.get(name) for name in read[2].inputs[2:] if name]
        shifted = any(zero is None or zero.any() for zero in zeros)
        if shifted or x.size != 1 or bias.size not in (1, weights.size):
            return False
        return bool(np.isclose(bias, x * weights, rtol=1e-5, atol=0).all())  # as it was rounded

    def _is_quantised(self, name: str) -> bool:
        """Whether a tensor is read by QuantizeLinear alone, or by what that does anyway."""
        reader = self._only_reader(name)
        if reader is not None and reader.op in ("Relu", "Clip"):
            between, reader = reader, self._only_reader(reader.outputs[0])
        else:
            between = None
        if reader is None or reader.op != "QuantizeLinear" or not self._is_plain(reader.outputs[0]):
            return False
        limits = self._limits(reader)
        if limits is None or between is None:
            return limits is not None
        low, high = self._clipped(between)
        seen = self._are_seen(reader.inputs[1:]) and self._are_seen(between.inputs[1:])
        seen &= between.op == "Relu" or self._stored_zero(reader) is not None
        return seen and low <= limits[0] and limits[1] <= high

    def _are_seen(self, names: Sequence[str]) -> bool:
        """Whether a runtime that looks for what a quantisation cuts off anyway reads constants."""
        given = [name for name in names if name]
        values = [self._constants.get(name) for name in given]
        scalars = all(value is not None and not value.ndim for value in values)
        return scalars and self._graph.replaceable.isdisjoint(given)

    def _limits(self, quantise: Node) -> tuple[float, float] | None:
        """Return the smallest and the largest number that is quantised to 8 bits as it is."""
        scale = self._constants.get(quantise.inputs[1])
        given = quantise.inputs[2] if len(quantise.inputs) > 2 else ""
        zero = self._constants.get(given) if given else np.zeros((), np.uint8)
        if scale is None or zero is None or scale.size != 1 or zero.size != 1:
            return None
        if zero.dtype.name not in _SMALL:
            return None
        low, high = extremes(zero.dtype)
        factor, shift = float(scale.reshape(-1)[0]), float(zero.reshape(-1)[0])
        return (low - shift) * factor, (high - shift) * factor

    def _clipped(self, node: Node) -> tuple[float, float]:
        if node.op == "Relu":
            return 0.0, float("inf")
        ends = [node.get("min", float("-inf")), node.get("max", float("inf"))]
        for place, name in enumerate(node.inputs[1:]):
            value = self._constants.get(name) if name else None
            if value is not None:
                ends[place] = float(value.reshape(-1)[0])
            elif name:
                return float("inf"), float("-inf")
        return ends[0], ends[1]

    def _kind(self, name: str) -> str:
        value, dtype = self._constants.get(name), self._graph.dtypes.get(name)
        if value is not None:
            return value.dtype.name
        return dtype.name if dtype is not None else ""

    @cached_property
    def _producers(self) -> dict[str, Node]:
        return {name: node for node in self._graph.nodes for name in node.outputs if name}

    @cached_property
    def _readers(self) -> dict[str, list[Node]]:
        readers: dict[str, list[Node]] = {}
        for node in self._graph.nodes:
            for name in filter(None, node.inputs):
                readers.setdefault(name, []).append(node)
        return readers
