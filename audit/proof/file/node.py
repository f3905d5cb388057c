"""One node of a graph, with attributes as Python values."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from artifact.onnx_file import ONNX_DOMAINS
from audit.names import readable

Array = NDArray[Any]


class Unsupported(Exception):  # noqa: N818 - it ends a proof, and is no error of the program
    """The proof cannot go on; the message is the rest of a sentence about the node."""


@dataclass(frozen=True)
class Node:
    """One node, with attributes as Python values.

    Attributes
    ----------
    written
        Tells nodes apart that are written otherwise, where these are not to do the same.
    """

    index: int
    proto: onnx.NodeProto
    opset: int
    attributes: Mapping[str, Any] = field(hash=False)
    written: int = 0

    @cached_property
    def op(self) -> str:
        """The operator's name, with its domain if that is not ONNX's own."""
        domain = self.proto.domain
        name = str(self.proto.op_type)
        return name if domain in ONNX_DOMAINS else readable(f"{domain}.{name}")

    @property
    def name(self) -> str:
        """The node's name, or that of its first output, fit to stand in a sentence."""
        return readable(self.proto.name or next(iter(self.outputs), ""))

    @cached_property
    def inputs(self) -> list[str]:
        """Names of the inputs; an optional one that is left out is empty."""
        return list(self.proto.input)

    @cached_property
    def outputs(self) -> list[str]:
        """Names of the outputs."""
        return list(self.proto.output)

    @cached_property
    def function(self) -> tuple[str, int, bytes, int]:
        """What the node computes, apart from its inputs."""
        attributes = sorted(self.proto.attribute, key=lambda attribute: attribute.name)
        content = b"".join(a.SerializeToString(deterministic=True) for a in attributes)
        return self.op, self.opset, content, self.written

    @property
    def version(self) -> int:
        """The version of ONNX's operators in which this one last changed, 0 if it has none."""
        return 0 if self.schema is None else int(self.schema.since_version)

    @property
    def schema(self) -> onnx.defs.OpSchema | None:
        """The operator's definition, if the standard has one."""
        return _schema(self.op, self.opset)

    def __getitem__(self, attribute: str) -> Any:
        return self.attributes.get(attribute)

    def get(self, attribute: str, default: Any) -> Any:
        """Return an attribute, or the operator's default."""
        return self.attributes.get(attribute, default)

    def alone(self, arrays: Sequence[Array | None]) -> tuple[onnx.ModelProto, dict[str, Array]]:
        """Return a model of this node alone, and what to feed it."""
        feeds = {f"input{i}": array for i, array in enumerate(arrays) if array is not None}
        proto = onnx.NodeProto()
        proto.CopyFrom(self.proto)
        proto.domain = ""
        proto.input[:] = ["" if array is None else f"input{i}" for i, array in enumerate(arrays)]
        graph = helper.make_graph(
            [proto],
            "node",
            [
                helper.make_tensor_value_info(
                    name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape
                )
                for name, array in feeds.items()
            ],
            [onnx.ValueInfoProto(name=name) for name in self.outputs if name],
        )
        opsets = [helper.make_opsetid("", self.opset)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=_IR_VERSION), feeds

    def evaluate(self, arrays: Sequence[Array | None]) -> list[Array]:
        """Run the node on arrays, by ONNX's reference implementation."""
        model, feeds = self.alone(arrays)
        return [np.asarray(value) for value in ReferenceEvaluator(model).run(None, feeds)]


@lru_cache(maxsize=1024)
def _schema(op: str, opset: int) -> onnx.defs.OpSchema | None:
    try:
        return onnx.defs.get_schema(op, opset, "")
    except onnx.defs.SchemaError:
        return None


_IR_VERSION: Final = 10
"""One that runtimes of the last years read."""


def read_attributes(proto: onnx.NodeProto) -> dict[str, Any]:
    """Return the attributes of a node as Python values."""
    return {attribute.name: _value(attribute) for attribute in proto.attribute}


def _value(attribute: onnx.AttributeProto) -> Any:
    if attribute.type == AttributeProto.TENSOR:
        return numpy_helper.to_array(attribute.t)
    value = helper.get_attribute_value(attribute)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if attribute.type == AttributeProto.STRINGS:
        return [text.decode(errors="replace") for text in value]
    return list(value) if attribute.type in _LISTS else value


def refuse_odd_flags(node: Node) -> None:
    """Refuse a flag that is neither 0 nor 1: to some that is set, to others it is not.

    Raises
    ------
    Unsupported
        Naming the flag.
    """
    for name in _FLAGS & node.attributes.keys():
        if node[name] not in (0, 1):
            raise Unsupported(f"has {node[name]} for {name}, which is to be 0 or 1")


def refuse_negative_zeros(node: Node) -> None:
    """Refuse an attribute of -0.0: onnxruntime merges the node with one that has 0.0 there.

    Raises
    ------
    Unsupported
        Naming the attribute.
    """
    if node.op == "Constant":
        return
    for name, value in node.attributes.items():
        numbers = value if isinstance(value, list) else [value]
        if any(isinstance(n, float) and n == 0 and math.copysign(1, n) < 0 for n in numbers):
            raise Unsupported(f"has -0.0 for {name}, which onnxruntime takes for 0.0")


_FLAGS: Final = frozenset(
    {
        *("allowzero", "antialias", "ceil_mode", "count_include_pad", "detect_negative"),
        *("detect_positive", "exclude_outside", "fmod", "keepdims", "largest"),
        *("noop_with_empty_axes", "saturate", "select_last_index", "sorted", "storage_order"),
        *("training_mode", "transA", "transB"),
    }
)
_LISTS: Final = (AttributeProto.INTS, AttributeProto.FLOATS)
