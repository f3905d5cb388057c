"""Stored weights with a scale for each entry of an axis, which runtimes take for that of filters.

onnxruntime writes a Conv, Gemm or MatMul between DequantizeLinear and QuantizeLinear as one of
integers, and passes over which axis of the weights has the scales. It looks through nodes between
that change nothing, and moves a Transpose to the other side.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from audit.proof.node import Array, Node, Unsupported

_OF_FILTERS: Final = {"Conv": 0, "Gemm": 1, "MatMul": -1}


class ScaledAxes:
    """Remembers the constants that have several scales, and along which axis.

    Parameters
    ----------
    nodes
        Of the graph: one that quantises nothing is left in floats, whatever its weights are.
    """

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._quantises = any(node.op == "QuantizeLinear" for node in nodes)
        self._axes: dict[str, int] = {}

    def remember(self, node: Node, arrays: Sequence[Array | None], values: Sequence[Array]) -> None:
        """Note what a node makes of constants."""
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
