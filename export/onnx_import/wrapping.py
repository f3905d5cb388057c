"""Giving a graph the inputs and outputs of the contract: nodes in front of it and behind it."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from artifact.contract import INPUT, LOGITS, OUTPUTS, PROBABILITIES
from export.onnx_import.graphs import keep_ancestors, rename, tensor_names
from export.onnx_import.inputs import Input, Scaling
from export.onnx_import.outputs import Found

_RESERVED: Final = (*(f"{name}." for name in (INPUT, *OUTPUTS)), "orbit.")
"""Begin the names of tensors that are added to a graph."""

_LEAST: Final = np.float32(1e-30)
"""What a probability of zero is taken for where its logarithm is wanted."""

_SECOND: Final = np.array([[0, 1]], np.float32)
_APART, _ONE = np.array([[-1, 1]], np.float32), np.array([1, 0], np.float32)
_REVERSED: Final = np.array([2, 1, 0])
_SHOWN: Final = {
    "logits": "by a softmax in the graph",
    "probabilities": "as the file gives them",
    "sigmoid": "as the file gives them",
}


class Wrapping:
    """The graph of a model with other ends; the model itself is changed.

    Tensors that have a name which the contract takes are renamed first.

    Parameters
    ----------
    model
        The given model.
    given
        What it takes for an image.
    """

    def __init__(self, model: onnx.ModelProto, given: Input) -> None:
        self.model = model
        self._given = given
        graph = model.graph
        names = tensor_names(graph)
        taken = [name for name in names if name in (INPUT, *OUTPUTS) or name.startswith(_RESERVED)]
        self._renamed = {name: _free(f"{name}.given", names) for name in taken}
        rename(graph, self._renamed)

    def read_image(self, scaling: Scaling | None, notes: list[str]) -> None:
        """Put the new input, and what scales and transposes it, in front of the given one.

        What was done is added to the ``notes``, a sentence each.
        """
        given, graph = self._given, self.model.graph
        current, nodes = INPUT, []
        if scaling is not None:
            current = f"{INPUT}.float"
            nodes.append(helper.make_node("Cast", [INPUT], [current], to=TensorProto.FLOAT))
            if scaling.bgr:
                graph.initializer.append(numpy_helper.from_array(_REVERSED, f"{INPUT}.bgr.by"))
                order = [current, f"{INPUT}.bgr.by"]
                nodes.append(helper.make_node("Gather", order, [f"{INPUT}.bgr"], axis=1))
                current = f"{INPUT}.bgr"
                notes.append("The file takes blue, green, red; the graph puts them in this order.")
            steps = [("Mul", (scaling.scale,)), ("Sub", scaling.mean), ("Div", scaling.std)]
            for op, values in steps:
                if any(value != (op != "Sub") for value in values):
                    name = f"{INPUT}.{op.lower()}"
                    graph.initializer.append(numpy_helper.from_array(_planes(values), f"{name}.by"))
                    nodes.append(helper.make_node(op, [current, f"{name}.by"], [name]))
                    current = name
            if given.kind != TensorProto.FLOAT:
                nodes.append(helper.make_node("Cast", [current], [f"{INPUT}.cast"], to=given.kind))
                current = f"{INPUT}.cast"
            notes.append(
                f"A grey level x becomes ({scaling.scale:g} x - {_shown(scaling.mean)}) / "
                f"{_shown(scaling.std)} in the graph."
            )
        if given.nhwc:
            nodes.append(
                helper.make_node("Transpose", [current], [f"{INPUT}.nhwc"], perm=[0, 2, 3, 1])
            )
            current = f"{INPUT}.nhwc"
            notes.append("The input took its channels last; a transposition in the graph does it.")
        name = self._renamed.get(given.name, given.name)
        nodes.append(helper.make_node("Identity", [current], [name]))
        for node in nodes:
            node.name = node.output[0]
        rest = list(graph.node)
        del graph.node[:], graph.input[:]
        graph.node.extend([*nodes, *rest])
        shape = ["N", given.channels, *given.sides]
        graph.input.append(helper.make_tensor_value_info(INPUT, TensorProto.UINT8, shape))

    def write_answers(
        self, found: Found, classes: int, notes: list[str], *, single: bool, several: bool
    ) -> None:
        """Put the outputs of the contract behind the tensors that hold the answers.

        Where these are a ``single`` number an image, it is taken for the second of two classes;
        where an image may get ``several`` labels, each has a probability of its own.
        """
        graph = self.model.graph
        add = _Chain(graph)
        if found.logits is None:
            values = self._values(add, found, f"{PROBABILITIES}.given")
            add("Identity", add.pair(values) if single else values, PROBABILITIES)
            logarithm = f"{LOGITS}.of.probability" if several else LOGITS
            add("Clip", PROBABILITIES, f"{PROBABILITIES}.positive", _LEAST)
            add("Log", f"{PROBABILITIES}.positive", logarithm)
            if several:
                add.log_odds(logarithm)
        else:
            name = self._renamed.get(found.logits, found.logits)
            flat = add("Flatten", name, f"{LOGITS}.flat", axis=1)
            flat = add("Cast", flat, f"{LOGITS}.float" if single else LOGITS, to=TensorProto.FLOAT)
            if single:
                add("MatMul", flat, LOGITS, _SECOND)
            if found.kind == "logits" or not found.step:
                self._squash(add, several=several)
            else:
                values = self._values(add, found, f"{PROBABILITIES}.given")
                add("Identity", add.pair(values) if single else values, PROBABILITIES)
        del graph.output[:]
        graph.output.extend(
            helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", classes])
            for output in OUTPUTS
        )
        keep_ancestors(graph)
        if single:
            notes.append("The one number of the output is taken for the second class.")
        if several:
            notes.append(
                "Each class has a probability of its own: an image may get several labels."
            )
        shown = "by a sigmoid in the graph" if several and found.kind == "logits" else None
        notes.append(f"The outputs are logits and probabilities, {shown or _SHOWN[found.kind]}.")

    def _squash(self, add: "_Chain", *, several: bool) -> None:
        if several:
            add("Sigmoid", LOGITS, PROBABILITIES)
        else:
            add("Softmax", LOGITS, PROBABILITIES, axis=1)

    def _values(self, add: "_Chain", found: Found, name: str) -> str:
        """Undo the scale of the answer."""
        answer = self._renamed.get(found.answer, found.answer)
        flat = add("Flatten", answer, f"{name}.flat", axis=1)
        flat = add("Cast", flat, f"{name}.float", to=TensorProto.FLOAT)
        if found.shift:
            flat = add("Sub", flat, f"{name}.shifted", np.float32(found.shift))
        return add("Div", flat, name, np.float32(found.scale)) if found.scale != 1 else flat


class _Chain:
    """Adds nodes behind one another."""

    def __init__(self, graph: onnx.GraphProto) -> None:
        self._graph = graph

    def __call__(
        self,
        op: str,
        source: str,
        output: str,
        constant: NDArray[np.float32] | np.float32 | None = None,
        **attributes: Any,
    ) -> str:
        """Add a node that reads ``source``, and a constant where there is one."""
        inputs = [source]
        if constant is not None:
            inputs.append(f"{output}.by")
            stored = numpy_helper.from_array(np.asarray(constant), inputs[1])
            self._graph.initializer.append(stored)
        node = helper.make_node(op, inputs, [output], name=output, **attributes)
        self._graph.node.append(node)
        return output

    def log_odds(self, logarithm: str) -> None:
        """Subtract log(1 - p) from log(p), for the logits of probabilities of their own."""
        rest = self(
            "Sub",
            self("Neg", PROBABILITIES, f"{PROBABILITIES}.minus"),
            f"{PROBABILITIES}.rest",
            np.float32(-1),
        )
        positive = self("Clip", rest, f"{rest}.positive", _LEAST)
        other = self("Log", positive, f"{rest}.log")
        self._graph.node.append(helper.make_node("Sub", [logarithm, other], [LOGITS], name=LOGITS))

    def pair(self, values: str) -> str:
        """Make [1 - p, p] of p."""
        return self("Add", self("MatMul", values, f"{values}.pair", _APART), f"{values}.both", _ONE)


def _planes(values: Sequence[float]) -> NDArray[np.float32]:
    return np.array(values, np.float32).reshape(-1, 1, 1)


def _shown(values: Sequence[float]) -> str:
    return f"{values[0]:g}" if len(values) == 1 else f"({', '.join(f'{v:g}' for v in values)})"


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "."
    return name
