"""A random graph under construction."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from artifact.element_types import infer_types

Array = NDArray[Any]


@dataclass
class Tensor:
    """A tensor of the graph: its name, its shape without the batch, its type."""

    name: str
    shape: tuple[int, ...]
    dtype: str

    @property
    def is_plane(self) -> bool:
        """Whether it has channels and two axes of pixels."""
        return len(self.shape) == 3


@dataclass
class Builder:
    """Nodes, constants and the tensor in hand."""

    random: np.random.Generator
    opset: int
    size: int
    channels: int
    batch: int | None
    dtype: str
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    functions: list[onnx.FunctionProto] = field(default_factory=list)
    outputs: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.image = Tensor("image", (self.channels, self.size, self.size), self.dtype)
        self.current = self.image

    def chance(self, part: float) -> bool:
        """Draw yes or no."""
        return bool(self.random.random() < part)

    def pick(self, *choices: Any) -> Any:
        """Draw one of several things."""
        return choices[int(self.random.integers(len(choices)))]

    def constant(self, value: Any, dtype: Any = None) -> str:
        """Store a constant, or have a Constant node give it."""
        array = np.asarray(value) if dtype is None else np.asarray(value).astype(dtype)
        name = f"c{len(self.constants)}_{len(self.nodes)}"
        if self.chance(0.1) and array.dtype.kind in "iuf":
            tensor = numpy_helper.from_array(array, name)
            self.nodes.append(helper.make_node("Constant", [], [name], value=tensor))
        else:
            self.constants[name] = array
        return name

    def node(self, op: str, *inputs: str, outputs: int = 1, **attributes: Any) -> str:
        """Add a node and return the name of its first output."""
        names = [f"t{len(self.nodes)}_{place}" for place in range(outputs)]
        self.nodes.append(
            helper.make_node(op, list(inputs), names, f"{op}{len(self.nodes)}", **attributes)
        )
        return names[0]

    def put(self, name: str, shape: tuple[int, ...] | None = None, dtype: str = "") -> None:
        """Take a tensor in hand."""
        before = self.current
        self.current = Tensor(name, before.shape if shape is None else shape, dtype or before.dtype)

    def floating(self) -> Tensor:
        """Have a tensor of floats in hand."""
        if self.current.dtype not in ("float32", "float64", "float16"):
            self.put(self.node("Cast", self.current.name, to=TensorProto.FLOAT), dtype="float32")
        return self.current

    def model(self) -> onnx.ModelProto:
        """Return the graph as a model."""
        kind = helper.np_dtype_to_tensor_dtype(np.dtype(self.dtype))
        sides = ["N" if self.batch is None else self.batch, *self.image.shape]
        outputs = [helper.make_value_info(name, onnx.TypeProto()) for name in self.outputs]
        graph = helper.make_graph(
            self.nodes,
            "fuzz",
            [helper.make_tensor_value_info("image", kind, sides)],
            outputs,
            [numpy_helper.from_array(value, name) for name, value in self.constants.items()],
        )
        imports = [helper.make_opsetid("", self.opset)]
        if self.functions:
            imports.append(helper.make_opsetid("own", 1))
        model = helper.make_model(
            graph, opset_imports=imports, ir_version=10, functions=self.functions
        )
        return _typed(model)


def _typed(model: onnx.ModelProto) -> onnx.ModelProto:
    """Give the outputs the types and ranks that follow from the graph."""
    outputs = list(model.graph.output)
    del model.graph.output[:]
    whole = model.functions  # of calls it knows nothing without, and of slices it may abort
    inferred = onnx.shape_inference.infer_shapes(model).graph if whole else infer_types(model)
    known = {value.name: value for value in (*inferred.value_info, *inferred.input)}
    for output in outputs:
        if output.name in known:
            model.graph.output.append(known[output.name])
    return model
