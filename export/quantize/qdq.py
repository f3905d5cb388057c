"""An integer network as float operators between DequantizeLinear and QuantizeLinear.

TensorRT and OpenVINO find the 8-bit convolutions in this form, and onnxruntime does; OpenVINO refuses
``QLinearConv`` with a scale a filter. The integers are those of the 8-bit form. A runtime that finds
them computes with integers, and every bit is the same; one that does not computes with floats, which
the file cannot rule out.
"""

from collections.abc import Mapping

import numpy as np
import onnx

from artifact.contract import LOGITS
from export.quantize.chain import Move
from export.quantize.graph import GraphBuilder
from export.quantize.network import IntegerMap, IntegerNetwork, Quantised


def to_qdq(network: IntegerNetwork, metadata: Mapping[str, str]) -> onnx.ModelProto:
    """Return ``network`` with float32 operators around which uint8 and int8 are converted."""
    graph = GraphBuilder()
    current: Quantised | None = None
    moved = False
    for layer in network.layers:
        if isinstance(layer, Move):
            graph.move(layer)
            moved = True
            continue
        _enter(graph, layer.name, layer.map.input, fresh=current is None, moved=moved)
        weight, bias = _weights(graph, layer.name, layer.map)
        graph.add("Conv", weight, bias, output=f"{layer.name}_sums", **layer.window)
        graph.add("QuantizeLinear", *_meaning(graph, layer.name, layer.output), output=f"{layer.name}_q")
        graph.add("DequantizeLinear", *_meaning(graph, layer.name, layer.output), output=layer.tensor)
        current, moved = layer.output, False
    head = network.head
    _enter(graph, "head", head.input, fresh=current is None, moved=moved)
    weight, bias = _weights(graph, "head", head)
    graph.add("Gemm", weight, bias, output=LOGITS, transB=1)
    return graph.build(network.chain.model, metadata)


def _enter(graph: GraphBuilder, name: str, given: Quantised, *, fresh: bool, moved: bool) -> None:
    """Let the current tensor be the values of integers that mean ``given``."""
    if moved and not fresh:
        graph.add("QuantizeLinear", *_meaning(graph, f"{name}_in", given), output=f"{name}_in_q")
    if moved or fresh:
        graph.add("DequantizeLinear", *_meaning(graph, f"{name}_in", given), output=f"{name}_in")


def _weights(graph: GraphBuilder, name: str, inner: IntegerMap) -> tuple[str, str]:
    scale = graph.constant(f"{name}_weight_scale", inner.scales)
    weight = graph.dequantise(f"{name}_weight", inner.weight, scale)
    units = graph.constant(f"{name}_bias_scale", inner.input.scale * inner.scales)
    return weight, graph.dequantise(f"{name}_bias", inner.bias, units)


def _meaning(graph: GraphBuilder, name: str, tensor: Quantised) -> tuple[str, str]:
    scale = graph.constant(f"{name}_scale", tensor.scale)
    return scale, graph.constant(f"{name}_zero", np.uint8(tensor.zero))
