"""Sizes that a graph computes, where onnxruntime infers others than it computes.

onnxruntime follows the numbers of sizes through some operators to infer the shapes of tensors, and
where it knows a shape it takes a Shape for a constant. It was seen to pass over what a Cast makes
of them, to take Size for the product of the sizes, and to lose the second axis of what has two.
"""

from collections.abc import Sequence
from typing import Final

import numpy as np

from audit.proof.file.node import Array, Node, Unsupported
from audit.proof.values.sizes import Sizes

Constant = Array | Sizes

_FOLLOWED: Final = {
    *("Add", "Cast", "Concat", "Div", "Gather", "Identity", "Mul", "Size", "Slice", "Squeeze"),
    *("Sub", "Unsqueeze"),
}
"""Operators through which onnxruntime follows numbers; what others give it does not know."""

_SHAPED: Final = {"ConstantOfShape", "Expand", "Range", "Reshape", "Resize", "Tile", "Upsample"}
"""Those that read the shape of what they give."""


class InferredSizes:
    """Remembers which constants onnxruntime may take for others where it infers shapes."""

    def __init__(self) -> None:
        self._unknown: set[str] = set()
        self._mistaken: set[str] = set()

    def see(
        self, node: Node, inputs: Sequence[Constant | None], outputs: Sequence[Constant]
    ) -> None:
        """Note what a node makes of constants."""
        known = any(name and name not in self._unknown for name in node.inputs)
        if node.op == "Shape" or (node.op == "Constant" and not node.inputs):
            return
        if node.op not in _FOLLOWED or not known:
            self._unknown.update(node.outputs)
        elif not self._mistaken.isdisjoint(node.inputs) or _mistakes(node, inputs, outputs):
            self._mistaken.update(node.outputs)

    def refuse_mistaken(self, node: Node) -> None:
        """Refuse a node whose output may have another shape than onnxruntime infers.

        Raises
        ------
        Unsupported
            If it reads a shape that may be mistaken.
        """
        places = node.inputs if node.op in ("ConstantOfShape", "Range") else node.inputs[1:]
        if node.op in _SHAPED and not self._mistaken.isdisjoint(places):
            raise Unsupported(
                "reads a shape that is computed in a way in which onnxruntime infers another"
            )


def _mistakes(node: Node, inputs: Sequence[Constant | None], outputs: Sequence[Constant]) -> bool:
    """Whether onnxruntime may know other numbers than a node gives."""
    values = [value for value in (*inputs, *outputs) if value is not None]
    if node.op == "Size" or any(_rank(value) > 1 for value in values):
        return True
    arrays = [value.astype(np.float64) for value in values if isinstance(value, np.ndarray)]
    if node.op == "Cast" and len(arrays) > 1:
        return not np.array_equal(arrays[0], arrays[1])
    return any((array % 1 != 0).any() for array in arrays)


def _rank(value: Constant) -> int:
    return value.ndim if isinstance(value, np.ndarray) else value.sides.ndim
