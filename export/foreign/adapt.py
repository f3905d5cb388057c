"""Bringing a file of another exporter into the contract of this project.

Input ``image``: uint8 ``[N, C, H, W]``, N dynamic. Outputs ``logits`` and ``probabilities``:
float32 ``[N, K]``. What is missing is added as nodes of the graph; what would have to be guessed is
refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, inliner, numpy_helper

from artifact.onnx_file import read_onnx, redefines
from export.foreign.graphs import (
    ForeignError,
    check_followed,
    dependents,
    keep_ancestors,
    rename,
    strip,
    tensor_names,
)
from export.foreign.inputs import Input, Scaling, check_scaling, read_input
from export.foreign.outputs import find_logits

CONTRACT: Final = ("image", "logits", "probabilities")
_RESERVED: Final = ("image.", "logits.", "orbit.")
"""Begin the names of tensors that are added to a graph."""


@dataclass(frozen=True)
class Adapted:
    """A model that keeps the contract, as far as its graph tells, and what was done to it.

    Attributes
    ----------
    answer
        The given file's output that the logits come from.
    softened
        Whether that output holds probabilities, whose logits were found in front of it.
    nhwc
        Whether the given file takes its channels last.
    """

    model: onnx.ModelProto
    channels: Literal[1, 3]
    size: int
    answer: str
    softened: bool
    nhwc: bool
    adaptations: tuple[str, ...]


def adapt(
    data: bytes,
    classes: int,
    *,
    scaling: Scaling | None = None,
    size: int | None = None,
    output: str | None = None,
) -> Adapted:
    """Read a file and wrap its graph so that it keeps the contract.

    Parameters
    ----------
    data
        The file.
    classes
        How many the logits are for.
    scaling
        For an input of floats: what its values are. An input of uint8 has none.
    size
        The input's side, where the file leaves it open.
    output
        The output that holds the logits, where that is not plain.

    Raises
    ------
    ForeignError
        If that cannot be done, or would take a guess.
    ValueError
        If the bytes are no valid ONNX file.
    """
    model = read_onnx(data)
    if redefines(model):
        raise ForeignError("The file gives operators of ONNX a meaning of its own.")
    if model.functions:
        model = inliner.inline_local_functions(model)
    check_followed(model)
    strip(model)
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in stored]
    if len(inputs) != 1:
        named = ", ".join(f"'{value.name}'" for value in inputs) or "none"
        raise ForeignError(f"The file takes the inputs {named}; one image is accepted.")
    given = read_input(inputs[0], size)
    if _keeps_contract(model.graph, given, output):
        check_scaling(given, scaling)
        return Adapted(model, given.channels, given.side, "logits", False, False, ())
    answer, logits, softened, notes = find_logits(model.graph, output)
    check_scaling(given, scaling)
    _check_classes(model.graph, answer, classes)

    if given.batch is not None:
        notes.append(_free_batch(model.graph, given))
    wrapped = _Wrapping(model, given)
    wrapped.read_image(scaling, notes)
    wrapped.write_answers(logits, classes, notes)
    return Adapted(
        model=wrapped.model,
        channels=given.channels,
        size=given.side,
        answer=answer,
        softened=softened,
        nhwc=given.nhwc,
        adaptations=tuple(notes),
    )


def _keeps_contract(graph: onnx.GraphProto, given: Input, output: str | None) -> bool:
    """Whether a graph is left as it is."""
    ends = [given.name, *(value.name for value in graph.output)]
    is_image = given.kind == TensorProto.UINT8 and given.batch is None and not given.nhwc
    return is_image and ends == list(CONTRACT) and output in (None, "logits")


def _check_classes(graph: onnx.GraphProto, answer: str, classes: int) -> None:
    kind = next(output for output in graph.output if output.name == answer).type.tensor_type
    sides = [axis.dim_value for axis in kind.shape.dim][1:]
    if all(sides) and sides and np.prod(sides) != classes:
        raise ForeignError(
            f"The output '{answer}' has {np.prod(sides)} numbers an image, and {classes} classes "
            "are named."
        )


def _free_batch(graph: onnx.GraphProto, given: Input) -> str:
    """Let N be any number: of the input, and where an image's entries are laid out anew."""
    stored = {tensor.name: tensor for tensor in graph.initializer}
    for node in graph.node:
        if node.op_type == "Constant" and node.attribute[0].name == "value":
            stored[node.output[0]] = node.attribute[0].t
    changed = 0
    for node in dependents(graph.node, given.name):
        if node.op_type == "Reshape" and node.input[1] in stored:
            target = numpy_helper.to_array(stored[node.input[1]]).copy()
            if target.size and target[0] == given.batch:
                target[0] = 0  # as many as there are
                changed += 1
                name = f"{node.output[0]}.shape.of.any.batch"
                graph.initializer.append(numpy_helper.from_array(target, name))
                node.input[1] = name
    reshaped = f", and in {changed} nodes that reshape" if changed else ""
    return f"The batch of {given.batch} became one of any size, in the input{reshaped}."


class _Wrapping:
    """The given graph with other ends."""

    def __init__(self, model: onnx.ModelProto, given: Input) -> None:
        self.model = model
        self._given = given
        graph = model.graph
        names = tensor_names(graph)
        taken = [name for name in names if name in CONTRACT or name.startswith(_RESERVED)]
        self._renamed = {name: _free(f"{name}.given", names) for name in taken}
        rename(graph, self._renamed)

    def read_image(self, scaling: Scaling | None, notes: list[str]) -> None:
        """Put the new input, and what scales and transposes it, in front of the given one."""
        given, graph = self._given, self.model.graph
        current, nodes = "image", []
        if scaling is not None:
            nodes.append(helper.make_node("Cast", ["image"], ["image.float"], to=TensorProto.FLOAT))
            current = "image.float"
            steps = [("Mul", (scaling.scale,)), ("Sub", scaling.mean), ("Div", scaling.std)]
            for op, values in steps:
                if any(value != (op != "Sub") for value in values):
                    name = f"image.{op.lower()}"
                    graph.initializer.append(numpy_helper.from_array(_planes(values), f"{name}.by"))
                    nodes.append(helper.make_node(op, [current, f"{name}.by"], [name]))
                    current = name
            if given.kind != TensorProto.FLOAT:
                nodes.append(helper.make_node("Cast", [current], ["image.cast"], to=given.kind))
                current = "image.cast"
            notes.append(
                f"A grey level x becomes ({scaling.scale:g} x - {_shown(scaling.mean)}) / "
                f"{_shown(scaling.std)} in the graph."
            )
        if given.nhwc:
            nodes.append(
                helper.make_node("Transpose", [current], ["image.nhwc"], perm=[0, 2, 3, 1])
            )
            current = "image.nhwc"
            notes.append("The input took its channels last; a transposition in the graph does it.")
        name = self._renamed.get(given.name, given.name)
        nodes.append(helper.make_node("Identity", [current], [name]))
        for node in nodes:
            node.name = node.output[0]
        rest = list(graph.node)
        del graph.node[:], graph.input[:]
        graph.node.extend([*nodes, *rest])
        shape = ["N", given.channels, given.side, given.side]
        graph.input.append(helper.make_tensor_value_info("image", TensorProto.UINT8, shape))

    def write_answers(self, logits: str, classes: int, notes: list[str]) -> None:
        """Put the outputs of the contract behind the tensor that holds the logits."""
        graph = self.model.graph
        name = self._renamed.get(logits, logits)
        for op, source, output, attributes in (
            ("Flatten", name, "logits.flat", {"axis": 1}),
            ("Cast", "logits.flat", "logits", {"to": TensorProto.FLOAT}),
            ("Softmax", "logits", "probabilities", {"axis": 1}),
        ):
            node = helper.make_node(op, [source], [output], name=output, **attributes)
            graph.node.append(node)
        del graph.output[:]
        graph.output.extend(
            helper.make_tensor_value_info(output, TensorProto.FLOAT, ["N", classes])
            for output in CONTRACT[1:]
        )
        keep_ancestors(graph)
        notes.append("The outputs are logits and, by a softmax in the graph, probabilities.")


def _planes(values: Sequence[float]) -> NDArray[np.float32]:
    return np.array(values, np.float32).reshape(-1, 1, 1)


def _shown(values: Sequence[float]) -> str:
    return f"{values[0]:g}" if len(values) == 1 else f"({', '.join(f'{v:g}' for v in values)})"


def _free(name: str, taken: set[str]) -> str:
    while name in taken:
        name += "."
    return name
