"""Stored weights with a scale for each entry of an axis, which runtimes take for that of filters.

onnxruntime writes a Conv, Gemm or MatMul of dequantised integers as one of integers, the last two
also where nothing quantises what they give, and passes over which axis of the weights has the
scales. It looks through nodes between that change nothing, and moves a Transpose to the other side.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from audit.proof.file.graph import Graph
from audit.proof.file.node import Array, Node, Unsupported

_OF_FILTERS: Final = {"Conv": 0, "Gemm": 1, "MatMul": -1}


class ScaledAxes:
    """Remembers the constants that have several scales, and along which axis.

    Parameters
    ----------
    graph
        One that neither quantises anything nor reads integers of an image as quantised is left in
        floats, whatever its weights are.
    """

    def __init__(self, graph: Graph) -> None:
        self._quantises = any(
            node.op == "QuantizeLinear"
            or (node.op == "DequantizeLinear" and node.inputs[0] not in graph.constants)
            for node in graph.nodes
        )
        self._axes: dict[str, int] = {}
        self._dequantised: set[str] = set()
        self._data = {node.outputs[0] for node in graph.nodes if node.op == "DequantizeLinear"}

    def remember(self, node: Node, arrays: Sequence[Array | None], values: Sequence[Array]) -> None:
        """Note what a node makes of constants."""
        if node.op == "DequantizeLinear" or not self._dequantised.isdisjoint(node.inputs):
            self._dequantised.update(node.outputs)
        axis = self._axis(node, arrays, values[0]) if values and self._quantises else None
        if axis is not None:
            self._axes[node.outputs[0]] = axis

    def _axis(self, node: Node, arrays: Sequence[Array | None], value: Array) -> int | None:
        if node.op == "DequantizeLinear":
            given = [array for array in arrays[1:3] if array is not None]
            several = any(np.unique(array).size > 1 for array in given)
            return int(node.get("axis", 1)) % value.ndim if several and value.ndim else None
        for name, array in zip(node.inputs, arrays, strict=False):
            axis = self._axes.get(name)
            if axis is None or array is None:
                continue
            if node.op == "Transpose":
                order = node.get("perm", list(range(array.ndim))[::-1])
                return list(order).index(axis)
            return axis if value.shape == array.shape else None
        return None

    def quantises_data(self, node: Node) -> bool:
        """Whether onnxruntime may quantise the floats that a node multiplies by stored integers.

        It writes such a product as one that quantises its data by blocks, in the order they have.
        """
        if node.op not in ("Gemm", "MatMul"):
            return False
        return node.inputs[1] in self._dequantised and node.inputs[0] not in self._data

    def refuse_misread(self, node: Node, weights: object) -> None:
        """Refuse weights with scales along another axis than that of the filters.

        Raises
        ------
        Unsupported
            If a node has such weights.
        """
        if node.op not in _OF_FILTERS or not isinstance(weights, np.ndarray):
            return
        axis = self._axes.get(node.inputs[1])
        filters = 0 if node["transB"] else _OF_FILTERS[node.op]
        if axis is not None and axis != filters % weights.ndim:
            raise Unsupported(
                "has weights with a scale for each of their inputs, which onnxruntime takes for "
                "one for each filter"
            )
