"""Which nodes a runtime computes in integers, though the file writes them in floats."""

from collections.abc import Mapping
from functools import cached_property
from typing import Final

import numpy as np

from audit.proof.graph import Graph
from audit.proof.node import Array, Node
from audit.proof.types import extremes

_SUMMED: Final = {"Conv", "Gemm", "MatMul"}
"""Operators of which runtimes are known to have kernels over dequantised integers. Pooling, say, is
left out: where such a group is not fused, it averages rounded numbers, in an order
that depends on the rotation."""

_SMALL: Final = ("uint8", "int8")


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
        names = [source.inputs[0] for source in sources if source is not None]
        kinds = [self._kind(name) for name in names]
        if any(kind not in _SMALL for kind in kinds[:2]) or kinds[2:] not in ([], ["int32"]):
            return False
        weights = self._constants.get(names[1])
        if weights is None or 2 * 255 * np.abs(weights.astype(np.float64)).max(initial=0) >= 2**15:
            return False  # two products of bytes may be added in 16 bits, which saturate
        return self._is_quantised(node.outputs[0])

    def _is_quantised(self, name: str) -> bool:
        """Whether a tensor is read by QuantizeLinear alone, or by what that does anyway."""
        readers = self._readers.get(name, [])
        if name in self._graph.outputs or len(readers) != 1:
            return False
        reader = readers[0]
        if reader.op == "QuantizeLinear":
            return self._limits(reader) is not None
        if reader.op not in ("Relu", "Clip"):
            return False
        following = self._readers.get(reader.outputs[0], [])
        if reader.outputs[0] in self._graph.outputs or len(following) != 1:
            return False
        limits = self._limits(following[0]) if following[0].op == "QuantizeLinear" else None
        if limits is None:
            return False
        low, high = self._clipped(reader)
        return low <= limits[0] and limits[1] <= high

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
