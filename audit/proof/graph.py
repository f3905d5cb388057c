"""An ONNX file as the proof reads it: one image in, nodes in order, constants by name."""

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, helper, inliner, numpy_helper
from onnx.reference import ReferenceEvaluator

from audit.onnx_file import redefines

Array = NDArray[Any]

OLDEST_OPSET, NEWEST_OPSET = 9, 26
"""Of the operators of ONNX; what they mean was read in these versions of the standard."""

BATCH = -7_777_777_777_777
"""Stands for N, which no proof knows, where a graph computes with shapes."""


class Stop(Exception):  # noqa: N818 - it ends a walk, and is no error of the program
    """The proof cannot go on; the message is the rest of a sentence about the node."""


@dataclass(frozen=True)
class Node:
    """One node, with attributes as Python values."""

    index: int
    proto: onnx.NodeProto
    opset: int
    attributes: Mapping[str, Any] = field(hash=False)

    @property
    def op(self) -> str:
        """The operator's name, with its domain if that is not ONNX's own."""
        domain = self.proto.domain
        return f"{domain}.{self.proto.op_type}" if domain else self.proto.op_type

    @property
    def name(self) -> str:
        """The node's name, or that of its first output."""
        return self.proto.name or next(iter(self.outputs), "")

    @property
    def inputs(self) -> list[str]:
        """Names of the inputs; an optional one that is left out is empty."""
        return list(self.proto.input)

    @property
    def outputs(self) -> list[str]:
        """Names of the outputs."""
        return list(self.proto.output)

    @cached_property
    def function(self) -> tuple[str, int, bytes]:
        """What the node computes, apart from its inputs."""
        attributes = sorted(self.proto.attribute, key=lambda attribute: attribute.name)
        content = b"".join(a.SerializeToString(deterministic=True) for a in attributes)
        return self.op, self.opset, content

    def __getitem__(self, attribute: str) -> Any:
        return self.attributes.get(attribute)

    def get(self, attribute: str, default: Any) -> Any:
        """Return an attribute, or the operator's default."""
        return self.attributes.get(attribute, default)

    def evaluate(self, arrays: Sequence[Array | None]) -> list[Array]:
        """Run the node on arrays, by ONNX's reference implementation."""
        feeds = {f"input{i}": array for i, array in enumerate(arrays) if array is not None}
        proto = onnx.NodeProto()
        proto.CopyFrom(self.proto)
        proto.input[:] = ["" if array is None else f"input{i}" for i, array in enumerate(arrays)]
        graph = helper.make_graph(
            [proto],
            "node",
            [onnx.ValueInfoProto(name=name) for name in feeds],
            [onnx.ValueInfoProto(name=name) for name in self.outputs if name],
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", self.opset)])
        return list(ReferenceEvaluator(model).run(None, feeds))


@dataclass(frozen=True)
class Image:
    """The graph's input: shape ``[C, H, W]`` of one image, and the type of its elements."""

    name: str
    shape: tuple[int, int, int]
    dtype: np.dtype[Any]
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
        Names of the outputs.
    dtypes
        Element types of the tensors whose type is known.
    """

    image: Image
    nodes: tuple[Node, ...]
    constants: Mapping[str, Array]
    outputs: tuple[str, ...]
    dtypes: Mapping[str, np.dtype[Any]]

    def kind(self, node: Node) -> Hashable:
        """Return what nodes have in common that may compute the same."""
        shapes = (self.constants[n].shape if n in self.constants else None for n in node.inputs)
        return node.function, tuple(shapes)


def read_graph(model: onnx.ModelProto) -> Graph:
    """Read the parts of a checked model.

    Raises
    ------
    Stop
        If it does not take one batch of images of a known size.
    """
    if redefines(model):
        raise Stop("gives operators that runtimes have a meaning of its own")
    if model.functions:
        model = inliner.inline_local_functions(model)
    opset = next((entry.version for entry in model.opset_import if not entry.domain), 0)
    if not OLDEST_OPSET <= opset <= NEWEST_OPSET:
        raise Stop(
            f"is written in version {opset} of ONNX's operators, and versions {OLDEST_OPSET} to "
            f"{NEWEST_OPSET} are followed"
        )
    if model.graph.sparse_initializer:
        raise Stop("holds sparse weights, which are not followed")
    constants = {t.name: numpy_helper.to_array(t) for t in model.graph.initializer}
    if any(name in constants for node in model.graph.node for name in node.output):
        raise Stop("gives a stored weight and a computed tensor the same name")
    nodes = tuple(
        Node(index, proto, opset, {a.name: _value(a) for a in proto.attribute})
        for index, proto in enumerate(model.graph.node)
    )
    return Graph(
        image=_image(model.graph, constants),
        nodes=nodes,
        constants=constants,
        outputs=tuple(output.name for output in model.graph.output),
        dtypes=_dtypes(model),
    )


def _image(graph: onnx.GraphProto, constants: Mapping[str, Array]) -> Image:
    inputs = [value for value in graph.input if value.name not in constants]
    if len(inputs) != 1:
        names = ", ".join(f"'{value.name}'" for value in inputs) or "none"
        raise Stop(f"takes the inputs {names}, and one input [N, C, H, W] is followed")
    kind = inputs[0].type.tensor_type
    sides = [axis.dim_value if axis.HasField("dim_value") else None for axis in kind.shape.dim]
    if len(sides) != 4 or None in sides[1:]:
        raise Stop("takes an input that is not [N, C, H, W] with C, H and W known")
    channels, height, width = (int(side or 0) for side in sides[1:])
    dtype = np.dtype(helper.tensor_dtype_to_np_dtype(kind.elem_type))
    if dtype.kind not in "uif":
        raise Stop(f"takes an input of type {dtype}, and numbers are followed")
    return Image(inputs[0].name, (channels, height, width), dtype, sides[0])


def _dtypes(model: onnx.ModelProto) -> dict[str, np.dtype[Any]]:
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
    graph = onnx.shape_inference.infer_shapes(bare).graph
    return {
        value.name: np.dtype(helper.tensor_dtype_to_np_dtype(value.type.tensor_type.elem_type))
        for value in (*graph.input, *graph.value_info, *graph.output)
        if value.type.tensor_type.elem_type
    }


def _value(attribute: onnx.AttributeProto) -> Any:
    if attribute.type == AttributeProto.TENSOR:
        return numpy_helper.to_array(attribute.t)
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return list(value) if attribute.type in _LISTS else value


_LISTS = (AttributeProto.INTS, AttributeProto.FLOATS, AttributeProto.STRINGS)
