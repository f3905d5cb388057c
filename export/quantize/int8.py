"""An integer network as 8-bit operators, which CPUs have instructions for.

``QLinearConv`` and ``MatMulInteger`` are integer arithmetic by definition. The common form that
stands DequantizeLinear and QuantizeLinear around float operators is exact only if a runtime fuses
it, which the file cannot promise.
"""

from collections.abc import Mapping

import numpy as np
import onnx

from artifact.contract import LOGITS
from export.quantize.chain import Move
from export.quantize.graph import GraphBuilder
from export.quantize.network import IntegerConvolution, IntegerNetwork, Quantised


def to_int8(network: IntegerNetwork, metadata: Mapping[str, str]) -> onnx.ModelProto:
    """Return ``network`` with uint8 activations and int8 weights."""
    graph = GraphBuilder()
    for layer in network.layers:
        if isinstance(layer, Move):
            graph.move(layer)
        else:
            _convolve(graph, layer)
    head = network.head
    weight = graph.constant("head_weight", head.weight.T)
    zero = graph.constant("head_zero", np.uint8(head.input.zero))
    graph.add("MatMulInteger", weight, zero, output="products")
    graph.add("Add", graph.constant("head_bias", head.bias), output="accumulators")
    graph.add("Cast", output="floats", to=onnx.TensorProto.FLOAT)
    graph.add("Mul", graph.constant("head_scale", head.input.scale * head.scales), output=LOGITS)
    return graph.build(network.chain.model, metadata)


def _convolve(graph: GraphBuilder, layer: IntegerConvolution) -> None:
    name, inner = layer.name, layer.map
    graph.add(
        "QLinearConv",
        *_meaning(graph, f"{name}_in", inner.input),
        graph.constant(f"{name}_weight", inner.weight),
        graph.constant(f"{name}_weight_scale", inner.scales),
        graph.constant(f"{name}_weight_zero", np.zeros(len(inner.weight), np.int8)),
        *_meaning(graph, f"{name}_out", layer.output),
        graph.constant(f"{name}_bias", inner.bias),
        output=layer.tensor,
        **layer.window,
    )


def _meaning(graph: GraphBuilder, name: str, tensor: Quantised) -> tuple[str, str]:
    scale = graph.constant(f"{name}_scale", tensor.scale)
    return scale, graph.constant(f"{name}_zero", np.uint8(tensor.zero))
