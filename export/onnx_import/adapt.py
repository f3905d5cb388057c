"""Bringing a file of another exporter into the contract of this project.

Input ``image``: uint8 ``[N, C, H, W]``, N dynamic. Outputs ``logits`` and ``probabilities``:
float32 ``[N, K]``. What is missing is added as nodes of the graph; what would have to be guessed is
refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, inliner, numpy_helper

from artifact.contract import INPUT, LOGITS, OUTPUTS, PROBABILITIES
from artifact.onnx_file import gives_several_labels, read_onnx, redefines
from export.onnx_import.graphs import (
    OnnxImportError,
    check_followed,
    dependents,
    keep_ancestors,
    keep_tensors,
    rename,
    sides_of,
    store_constants,
    strip,
    tensor_names,
    units,
)
from export.onnx_import.inputs import Input, Scaling, Sides, check_scaling, read_input
from export.onnx_import.outputs import Found, OutputKind, find_logits
from export.onnx_import.preprocessing import Preprocessing

_RESERVED: Final = (*(f"{name}." for name in (INPUT, *OUTPUTS)), "orbit.")
"""Begin the names of tensors that are added to a graph."""

_STORED_APART: Final = 4
"""Version of the format from which on stored tensors need not be inputs as well."""

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


@dataclass(frozen=True)
class Adapted:
    """A model that keeps the contract, as far as its graph tells, and what was done to it.

    Attributes
    ----------
    found
        What the given file's output holds; None if the file kept the contract.
    scaling
        What becomes of a level in front of the given file; None if that takes uint8.
    nhwc
        Whether the given file takes its channels last.
    multi_label
        Whether each class has a probability of its own.
    """

    model: onnx.ModelProto
    channels: Literal[1, 3]
    size: Sides
    found: Found | None
    scaling: Scaling | None
    nhwc: bool
    multi_label: bool
    adaptations: tuple[str, ...]


def adapt(
    data: bytes,
    classes: int,
    *,
    scaling: Scaling | None = None,
    size: int | Sides | None = None,
    output: str | None = None,
    output_kind: OutputKind | None = None,
    multi_label: bool = False,
    said: Preprocessing | None = None,
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
        The input's side, or height and width, where the file leaves them open.
    output
        The output that holds the logits, where that is not plain.
    output_kind
        What that output holds, where the graph does not tell.
    multi_label
        Whether an image may get several labels, where only logits are there to tell it.
    said
        What lies beside the file says of its input, where the arguments say nothing.

    Raises
    ------
    OnnxImportError
        If that cannot be done, or would take a guess.
    ValueError
        If the bytes are no valid ONNX file.
    """
    model = read_onnx(data)
    if redefines(model):
        raise OnnxImportError("The file gives operators of ONNX a meaning of its own.")
    if model.functions:
        model = inliner.inline_local_functions(model)
    keep_tensors(model.graph)
    check_followed(model)
    strip(model)
    store_constants(model.graph)
    model.ir_version = max(model.ir_version, _STORED_APART)
    stored = {tensor.name for tensor in model.graph.initializer}
    inputs = [value for value in model.graph.input if value.name not in stored]
    if len(inputs) != 1:
        named = ", ".join(f"'{value.name}'" for value in inputs) or "none"
        raise OnnxImportError(f"The file takes the inputs {named}; one image is accepted.")
    said = said or Preprocessing()
    given = read_input(model.graph, inputs[0], size, said.size)
    if scaling is None and given.kind != TensorProto.UINT8:
        if "--input-scale" in said.unclear:
            raise OnnxImportError(said.ask("--input-scale"))
        scaling = said.scaling
    multi_label = multi_label or said.multi_label
    if output_kind is None and _keeps_contract(model.graph, given, output):
        check_scaling(given, scaling)
        several = multi_label or gives_several_labels(model)
        return Adapted(model, given.channels, given.sides, None, None, False, several, ())
    found = find_logits(model.graph, output, output_kind)
    notes = list(found.notes)
    check_scaling(given, scaling)
    if given.kind == TensorProto.UINT8 and said.scaling is not None:
        order = ", and the order of channels," if said.scaling.bgr else ""
        notes.append(
            f"The file takes uint8: scale, mean and deviation{order} that are said beside it are "
            "left to the file."
        )
    several = _check_classes(model, given, found, classes, multi_label=multi_label)

    if given.batch is not None:
        notes.append(_free_batch(model.graph, given))
    single = units(model, found.answer) == 1
    wrapped = _Wrapping(model, given)
    wrapped.read_image(scaling, notes)
    wrapped.write_answers(found, classes, notes, single=single, several=several)
    return Adapted(
        model=wrapped.model,
        channels=given.channels,
        size=given.sides,
        found=found,
        scaling=scaling,
        nhwc=given.nhwc,
        multi_label=several,
        adaptations=tuple(notes),
    )


def _keeps_contract(graph: onnx.GraphProto, given: Input, output: str | None) -> bool:
    """Whether a graph is left as it is."""
    ends = [given.name, *(value.name for value in graph.output)]
    is_image = given.kind == TensorProto.UINT8 and given.batch is None and not given.nhwc
    return is_image and ends == [INPUT, *OUTPUTS] and output in (None, LOGITS)


def _check_classes(
    model: onnx.ModelProto, given: Input, found: Found, classes: int, *, multi_label: bool
) -> bool:
    """Refuse another number of classes; return whether an image may get several of them."""
    answer = next(each for each in model.graph.output if each.name == found.answer)
    axes = [axis.dim_value for axis in answer.type.tensor_type.shape.dim]
    if len(axes) == 1 and axes[0] > 1 and axes[0] != given.batch:
        raise OnnxImportError(
            f"The output '{found.answer}' has the shape [{axes[0]}], without an axis for the "
            "images of a batch; [N, K] is accepted."
        )
    sides = sides_of(model, found.answer) or []
    if sum(side > 1 for side in sides) > 1:
        shown = ", ".join(str(side or "?") for side in sides)
        raise OnnxImportError(
            f"The output '{found.answer}' has the shape [N, {shown}], as a map or a sequence has; "
            "one number for each class is accepted."
        )
    count = units(model, found.answer)
    if count not in (None, classes) and (count, classes) != (1, 2):
        raise OnnxImportError(
            f"The output '{found.answer}' has {count} numbers an image, and {classes} classes "
            "are named."
        )
    if multi_label and (found.kind == "probabilities" or found.logarithm or count == 1):
        held = "one number an image" if count == 1 else "one distribution over all classes"
        raise OnnxImportError(
            f"The output '{found.answer}' is {held}, and several labels are asked for "
            "(--multi-label, or problem_type in config.json); logits or a sigmoid for each class "
            "are accepted."
        )
    if count == 1 and not found.known:
        raise OnnxImportError(
            f"The output '{found.answer}' is one number an image; --output-kind says whether it is "
            "the logit or the probability (sigmoid) of the second of two classes."
        )
    return count != 1 and (multi_label or found.kind == "sigmoid")


def _free_batch(graph: onnx.GraphProto, given: Input) -> str:
    """Let N be any number: of the input, and where an image's entries are laid out anew."""
    stored = {tensor.name: tensor for tensor in graph.initializer}
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
        taken = [name for name in names if name in (INPUT, *OUTPUTS) or name.startswith(_RESERVED)]
        self._renamed = {name: _free(f"{name}.given", names) for name in taken}
        rename(graph, self._renamed)

    def read_image(self, scaling: Scaling | None, notes: list[str]) -> None:
        """Put the new input, and what scales and transposes it, in front of the given one."""
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
