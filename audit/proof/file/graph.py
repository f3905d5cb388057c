"""An ONNX file as the proof reads it: one image in, nodes in order, constants by name."""

from collections import Counter
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import onnx
from onnx import TensorProto, helper, numpy_helper

from artifact.element_types import infer_types
from audit.proof.file.functions import inline
from audit.proof.file.node import Array, Node, Unsupported, read_attributes
from audit.proof.file.types import DType, is_float, is_integer
from imaging.refusal import RefusedError

OLDEST_OPSET, NEWEST_OPSET = 9, 26
"""Of the operators of ONNX; what they mean was read in these versions of the standard."""

_SUMS: Final = {"Conv", "ConvTranspose", "Gemm", "MatMul", "QLinearConv"}


@dataclass(frozen=True)
class Image:
    """The graph's input: shape ``[C, H, W]`` of one image, and the type of its elements.

    Attributes
    ----------
    batch
        N, if the file fixes it.
    """

    name: str
    shape: tuple[int, int, int]
    dtype: DType
    batch: int | None


@dataclass(frozen=True)
class Graph:
    """A graph that takes a batch of images.

    Attributes
    ----------
    image
        The input.
    nodes
        In an order in which every node comes after those that it reads.
    constants
        The initialisers.
    outputs
        Names of the outputs, at least one.
    dtypes
        Element types of the tensors whose type is known.
    aliases
        Initialisers by the further names that Identity nodes give them.
    replaceable
        Initialisers in place of which a caller may give something else.
    declared
        Shapes that the file notes of tensors that nodes read, with -1 for sides that are open.
    """

    image: Image
    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    outputs: tuple[str, ...]
    dtypes: Mapping[str, DType]
    aliases: Mapping[str, str]
    replaceable: frozenset[str]
    declared: Mapping[str, tuple[int, ...]]

    def kind(self, node: Node) -> Hashable:
        """Return what nodes have in common that may compute the same."""
        if not node.inputs:
            return node.op, node.index
        names = (self.aliases.get(name, name) for name in node.inputs)
        shapes = (self.constants[n].shape if n in self.constants else None for n in names)
        return node.function, tuple(shapes)

    def apart(self, writings: Mapping[int, int]) -> "Graph":
        """Return a graph in which nodes are told apart that are written otherwise.

        Parameters
        ----------
        writings
            By the node's index: equal for nodes that are written alike.
        """
        nodes = (replace(node, written=writings.get(node.index, 0)) for node in self.nodes)
        return replace(self, nodes=tuple(nodes))

    def shares_weights(self) -> bool:
        """Whether every sum with weights has a second one with the same, as averages do."""
        weights = Counter(
            stored
            for node in self.nodes
            if node.op in _SUMS
            for name in node.inputs[1:2]
            if (stored := self.aliases.get(name, name)) in self.constants
        )
        return bool(weights) and min(weights.values()) > 1


def read_graph(model: onnx.ModelProto) -> Graph:
    """Read the parts of a checked model.

    Raises
    ------
    Unsupported
        If it does not take one batch of images of a known size, or answers nothing.
    ValueError
        If its input has no type.
    ProofLimitError
        If its functions stand for too many nodes.
    """
    model = inline(model)
    opset = next((entry.version for entry in model.opset_import if not entry.domain), 0)
    opset = opset or next((e.version for e in model.opset_import if e.domain == "ai.onnx"), 0)
    if not OLDEST_OPSET <= opset <= NEWEST_OPSET:
        raise Unsupported(
            f"is written in version {opset} of ONNX's operators, and versions {OLDEST_OPSET} to "
            f"{NEWEST_OPSET} are followed"
        )
    if model.graph.sparse_initializer:
        raise Unsupported("holds sparse weights, which are not followed")
    if not model.graph.output:
        raise Unsupported("has no output, so that there is nothing to prove")
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    if len(constants) < len(model.graph.initializer):
        raise Unsupported("gives two stored weights the same name")
    image = _image(model.graph, constants)
    given = {image.name, *constants}
    for node in model.graph.node:
        for name in filter(None, node.output):
            if name in given:
                raise Unsupported(f"gives the name '{name}' to more than one tensor")
            given.add(name)
    nodes = tuple(
        Node(index, proto, opset, read_attributes(proto))
        for index, proto in enumerate(model.graph.node)
    )
    return Graph(
        image=image,
        nodes=nodes,
        constants=constants,
        outputs=tuple(output.name for output in model.graph.output),
        dtypes=_dtypes(model, nodes),
        aliases=_aliases(nodes, constants),
        replaceable=frozenset(value.name for value in model.graph.input) & constants.keys(),
        declared=_declared(model.graph, image),
    )


def _declared(graph: onnx.GraphProto, image: Image) -> dict[str, tuple[int, ...]]:
    read = {name for node in graph.node for name in node.input}
    declared = {
        value.name: tuple(map(_noted, value.type.tensor_type.shape.dim))
        for value in (*graph.value_info, *graph.output)
        if value.name in read and value.type.tensor_type.HasField("shape")
    }
    sides = (-1 if image.batch is None else image.batch, *image.shape)
    noted = declared.get(image.name, sides)
    fit = zip(noted, sides, strict=False)
    if len(noted) != len(sides) or any(side not in (-1, due) for side, due in fit):
        raise Unsupported(f"notes two shapes of its input '{image.name}'")
    return declared


def _noted(side: onnx.TensorShapeProto.Dimension) -> int:
    """Return a side as runtimes take it: also 0, but no number below that."""
    return max(int(side.dim_value), -1) if side.HasField("dim_value") else -1


def _aliases(nodes: Sequence[Node], constants: Mapping[str, Array]) -> dict[str, str]:
    """Exporters let branches share a weight by Identity nodes."""
    aliases: dict[str, str] = {}
    for node in nodes:
        if node.op == "Identity":
            source = aliases.get(node.inputs[0], node.inputs[0])
            if source in constants:
                aliases[node.outputs[0]] = source
    return aliases


def _image(graph: onnx.GraphProto, constants: Mapping[str, Array]) -> Image:
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(f"'{value.name}'" for value in inputs) or "none"
        raise Unsupported(f"takes the inputs {names}, and one input [N, C, H, W] is followed")
    kind = inputs[0].type.tensor_type
    if kind.elem_type not in TensorProto.DataType.values() or not kind.elem_type:
        raise RefusedError(
            f"The input '{inputs[0].name}' has no type of elements that ONNX knows; one of "
            "numbers is accepted."
        )
    sides = [axis.dim_value if axis.HasField("dim_value") else None for axis in kind.shape.dim]
    if len(sides) != 4 or any(side is None or side < 1 for side in sides[1:]):
        raise Unsupported("takes an input that is not [N, C, H, W] with C, H and W known")
    channels, height, width = (int(side or 0) for side in sides[1:])
    dtype: DType = helper.tensor_dtype_to_np_dtype(kind.elem_type)
    numbers = is_integer(dtype) or is_float(dtype)
    if not numbers or dtype.kind not in "uif":
        raise Unsupported(f"takes an input of type {dtype}, and numbers are followed")
    batch = sides[0] if sides[0] and sides[0] > 0 else None
    return Image(inputs[0].name, (channels, height, width), dtype, batch)


def _dtypes(model: onnx.ModelProto, nodes: Sequence[Node]) -> dict[str, DType]:
    """Infer the types from a copy without weights: shapes do not matter here."""
    given = {value.name for value in model.graph.input}
    bare = onnx.ModelProto(ir_version=model.ir_version, opset_import=model.opset_import)
    bare.graph.name = "types"
    bare.graph.node.extend(model.graph.node)
    bare.graph.input.extend(model.graph.input)
    bare.graph.output.extend(model.graph.output)
    bare.graph.input.extend(
        helper.make_tensor_value_info(tensor.name, tensor.data_type, None)
        for tensor in model.graph.initializer
        if tensor.name not in given
    )
    try:
        graph = infer_types(bare)
    except onnx.shape_inference.InferenceError as error:
        raise Unsupported("has shapes or types that do not fit together") from error
    found = {
        value.name: helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type)
        for value in (*graph.value_info, *graph.output, *graph.input)
        if value.type.tensor_type.elem_type
    }
    for node in nodes:
        if not all(name in found for name in node.outputs if name):
            found = {**_by_parameter(node, found), **found}
    return found


def _by_parameter(node: Node, found: Mapping[str, DType]) -> dict[str, DType]:
    """Type outputs as the inputs of the same type parameter.

    ONNX infers nothing of functions that it makes for their types, as GroupNormalization.
    """
    schema = node.schema
    if schema is None:
        return {}
    types = {
        formal.type_str: found[name]
        for formal, name in zip(schema.inputs, node.inputs, strict=False)
        if name in found and formal.is_homogeneous
    }
    return {
        name: types[formal.type_str]
        for formal, name in zip(schema.outputs, node.outputs, strict=False)
        if formal.type_str in types and formal.is_homogeneous
    }
