"""Putting a graph together node by node, between the ends that every file of this project has."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from artifact.contract import INPUT, PROBABILITIES
from export.quantize.chain import Move


class GraphBuilder:
    """Collects nodes and constants; ``current`` is the tensor that the next node reads."""

    def __init__(self) -> None:
        self.current = INPUT
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, NDArray[Any]] = {}

    def constant(self, name: str, value: Any) -> str:
        """Store a constant and return its name."""
        self._constants[name] = np.asarray(value)
        return name

    def add(self, op: str, *inputs: str, output: str, **attributes: Any) -> None:
        """Append a node that reads the current tensor and then ``inputs``."""
        node = helper.make_node(op, [self.current, *inputs], [output], name=output, **attributes)
        self._nodes.append(node)
        self.current = output

    def dequantised(self, name: str, integers: NDArray[Any], scales: str) -> str:
        """Store integers with one scale for each entry of their first axis; name their values."""
        stored = self.constant(f"{name}_integers", integers)
        node = helper.make_node("DequantizeLinear", [stored, scales], [name], name=name, axis=0)
        self._nodes.append(node)
        return name

    def move(self, layer: Move) -> None:
        """Append a node that moves entries, as it stands."""
        node = onnx.NodeProto()
        node.CopyFrom(layer.node)
        node.input[0] = self.current
        self._nodes.append(node)
        self._constants.update(layer.constants)
        self.current = node.output[0]

    def build(self, source: onnx.ModelProto, metadata: Mapping[str, str]) -> onnx.ModelProto:
        """Return a checked model with the ends and the version of operators that ``source`` has."""
        self.add("Softmax", output=PROBABILITIES, axis=1)
        graph = helper.make_graph(
            self._nodes,
            source.graph.name,
            source.graph.input,
            source.graph.output,
            [numpy_helper.from_array(value, name) for name, value in self._constants.items()],
        )
        model = helper.make_model(
            graph, opset_imports=source.opset_import, ir_version=source.ir_version
        )
        helper.set_model_props(model, dict(metadata))
        onnx.checker.check_model(model, full_check=True)
        return model
