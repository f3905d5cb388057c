"""Constants that several nodes compute, one behind the other, and what a runtime makes of them all.

A runtime takes nodes away or merges them before it computes constants: of 1 / 41 times 41 it makes
41 / 41, and of half precision it rounds the last of several results alone. Each node by itself
shows nothing of this.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from typing import Final

import numpy as np
import onnx
from onnx import helper, numpy_helper

from audit.proof.file.graph import Graph
from audit.proof.file.node import Array, Node, Unsupported
from audit.proof.limits import Budget
from audit.proof.operators import MOVES
from audit.proof.runtime.folding import Runtime, attempt, same
from audit.proof.values.sizes import Batch, Side, Sizes

Constants = Mapping[str, Array | Sizes]

_PLAIN: Final = MOVES | {"Constant", "ConstantOfShape", "Shape"}
_IMAGES: Final = 3
"""How many there are in a batch of which the file does not say how many."""

_AXES: Final = 13
"""From this version of the operators on, `Unsqueeze` takes its axes as an input."""

_HALVES: Final = ("bfloat16", "float16")

_FIRST: Final = "confirmed/axis"


class Chains:
    """Finds constants that two nodes or more compute, and has a runtime compute them at once.

    Parameters
    ----------
    constants
        Every tensor that does not depend on the image, by name.
    sides
        Shapes that the graph reads of tensors that depend on the image, by name.
    """

    def __init__(
        self, graph: Graph, constants: Constants, sides: Mapping[str, Sequence[Side]]
    ) -> None:
        self._graph, self._constants, self._sides = graph, constants, sides
        self._batch = graph.image.batch or _IMAGES
        self._nodes = [node for node in graph.nodes if self._computes(node)]
        self._read = list(self._compared())

    def confirm(self, runtime: Runtime, budget: Budget) -> None:
        """See that a runtime computes the same constants.

        Raises
        ------
        Unsupported
            If it does not, or cannot.
        ProofLimitError
            If that takes more than it may.
        """
        if not self._read:
            return
        model, feeds = self._model(budget)
        budget.reserve(4 * sum(a.nbytes for a in feeds.values()) + 4 * model.ByteSize())
        theirs = attempt(runtime, model, feeds)
        expected = [self._value(name)[None] for name in self._read]
        if theirs is None or not all(map(same, expected, theirs)):
            raise Unsupported(
                "computes constants by several nodes, of which the runtime makes something else"
            )

    def refuse_late_halves(self) -> None:
        """Refuse several numbers of half precision that are computed of sizes, and rounded.

        onnxruntime computes them in single precision when it runs, and passes over what is rounded
        in between: numbers that are equal by rounding alone are not. Others it computes before.

        Raises
        ------
        Unsupported
            If there are such.
        """
        measured: set[str] = set()
        for node in self._nodes:
            if node.op != "Shape" and measured.isdisjoint(node.inputs):
                continue
            measured.update(node.outputs)
            if node.op not in _PLAIN and any(map(self._is_rounded, node.outputs[:1], node.inputs)):
                raise Unsupported(
                    "computes numbers of half precision out of sizes, which onnxruntime does not "
                    "round where the file does"
                )

    def _is_rounded(self, name: str, source: str) -> bool:
        value, before = self._constants.get(name), self._constants.get(source)
        if not isinstance(value, np.ndarray) or value.dtype.name not in _HALVES or value.size < 2:
            return False
        return not isinstance(before, np.ndarray) or not np.array_equal(
            value.astype(np.float64), before.astype(np.float64)
        )

    def _computes(self, node: Node) -> bool:
        known = all(name in self._constants for name in filter(None, node.inputs))
        shape = node.op == "Shape" and node.inputs[0] in self._sides
        return (known or shape) and all(name in self._constants for name in node.outputs if name)

    def _compared(self) -> Iterator[str]:
        """Yield constants behind two nodes that compute, which what depends on the image reads."""
        depths: dict[str, int] = {}
        for node in self._nodes:
            before = max((depths.get(name, 0) for name in node.inputs), default=0)
            depths.update(dict.fromkeys(node.outputs, before + (node.op not in _PLAIN)))
        inside = {node.index for node in self._nodes}
        readers = (node.inputs for node in self._graph.nodes if node.index not in inside)
        read = {name for names in readers for name in names}.union(self._graph.outputs)
        return (name for name, depth in depths.items() if depth > 1 and name in read)

    def _model(self, budget: Budget) -> tuple[onnx.ModelProto, dict[str, Array]]:
        """Return a model of the nodes that compute these constants, and what to feed it."""
        needed = {*self._read}
        nodes: list[onnx.NodeProto] = []
        for node in reversed(self._nodes):
            if not needed.isdisjoint(node.outputs):
                needed.update(filter(None, node.inputs))
                nodes.append(_copied(node))
        nodes.reverse()
        stored = self._graph.constants
        weights = [numpy_helper.from_array(stored[n], n) for n in needed if n in stored]
        measured = {node.inputs[0] for node in self._nodes if node.op == "Shape"} & needed
        given = [self._given(n, budget) for n in sorted(measured - self._constants.keys())]
        shown = [f"confirmed/{place}" for place in range(len(self._read))]
        opset = self._graph.nodes[0].opset
        nodes += map(partial(_shown, opset=opset), self._read, shown)
        weights.append(numpy_helper.from_array(np.zeros(1, np.int64), _FIRST))
        replaceable = [w for w in weights if w.name in self._graph.replaceable]
        graph = helper.make_graph(
            nodes,
            "constants",
            [
                *(value for value, _ in given),
                *(helper.make_tensor_value_info(w.name, w.data_type, w.dims) for w in replaceable),
            ],
            [onnx.ValueInfoProto(name=name) for name in shown],
            weights,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)])
        model.ir_version = 10
        return model, {value.name: array for value, array in given}

    def _given(self, name: str, budget: Budget) -> tuple[onnx.ValueInfoProto, Array]:
        """Return a tensor that depends on the image, as an input, and zeros in its place."""
        sides, dtype = self._sides[name], self._graph.dtypes.get(name, np.dtype(np.float32))
        kind = helper.np_dtype_to_tensor_dtype(dtype)
        shape = [None if isinstance(side, Batch) else side for side in sides]
        lengths = [self._length(side) for side in sides]
        budget.reserve(4 * math.prod(lengths) * dtype.itemsize)
        zeros = np.zeros(lengths, dtype)
        return helper.make_tensor_value_info(name, kind, shape), zeros

    def _value(self, name: str) -> Array:
        value = self._constants[name]
        if isinstance(value, np.ndarray):
            return value
        lengths = [self._length(side) for side in value.sides.reshape(-1)]
        dtype = np.int32 if value.narrow else np.int64
        return np.array(lengths, dtype).reshape(value.sides.shape)

    def _length(self, side: Side) -> int:
        return side.copies * self._batch + side.more if isinstance(side, Batch) else int(side)


def _shown(name: str, output: str, *, opset: int) -> onnx.NodeProto:
    """Return a node that gives a tensor: no runtime takes away a node that gives an output."""
    if opset < _AXES:
        return helper.make_node("Unsqueeze", [name], [output], axes=[0])
    return helper.make_node("Unsqueeze", [name, _FIRST], [output])


def _copied(node: Node) -> onnx.NodeProto:
    proto = onnx.NodeProto()
    proto.CopyFrom(node.proto)
    proto.domain = ""
    return proto
