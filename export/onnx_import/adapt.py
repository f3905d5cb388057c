"""Bringing a file of another exporter into the contract of this project.

Input ``image``: uint8 ``[N, C, H, W]``, N dynamic. Outputs ``logits`` and ``probabilities``:
float32 ``[N, K]``. What is missing is added as nodes of the graph; what would have to be guessed is
refused.
"""

from dataclasses import dataclass
from typing import Final, Literal

import onnx
from onnx import TensorProto, numpy_helper

from artifact.contract import INPUT, LOGITS, OUTPUTS
from artifact.onnx_file import gives_several_labels, read_onnx
from audit.proof.file.functions import inline
from audit.proof.file.node import Unsupported
from export.onnx_import.graphs import (
    OnnxImportError,
    check_followed,
    dependents,
    keep_tensors,
    sides_of,
    store_constants,
    strip,
    units,
)
from export.onnx_import.inputs import Input, Scaling, Sides, check_scaling, read_input
from export.onnx_import.outputs import Found, OutputKind, find_logits
from export.onnx_import.preprocessing import Preprocessing
from export.onnx_import.wrapping import Wrapping

_STORED_APART: Final = 4
"""Version of the format from which on stored tensors need not be inputs as well."""


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
    model = _without_functions(model)
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
    wrapped = Wrapping(model, given)
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


def _without_functions(model: onnx.ModelProto) -> onnx.ModelProto:
    """Put the nodes of functions in the place of their calls, as the proof does."""
    try:
        return inline(model)
    except Unsupported as error:
        raise OnnxImportError(f"The file {error}; one without functions is accepted.") from error


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
