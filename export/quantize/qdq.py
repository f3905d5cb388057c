"""An integer network as float operators between DequantizeLinear and QuantizeLinear.

TensorRT and OpenVINO find the 8-bit convolutions in this form, and so does onnxruntime; OpenVINO
refuses ``QLinearConv`` with a scale a filter. The integers are those of the 8-bit form: a runtime
that finds them gives every bit of it. One that does not computes with floats, which the file cannot
rule out.
"""

from collections.abc import Mapping

import numpy as np
import onnx

from export.quantize.chain import Move
from export.quantize.graph import GraphBuilder
from export.quantize.integer import add_head
from export.quantize.network import IntegerConvolution, IntegerNetwork, Quantised


def to_qdq(network: IntegerNetwork, metadata: Mapping[str, str]) -> onnx.ModelProto:
    """Return ``network`` with float32 operators between conversions from and to 8 bits.

    Raises
    ------
    MagnitudeError
        If a partial sum of the last linear map, which no conversion follows, may reach 2^24.
    """
    graph = GraphBuilder()
    integers = True  # whether the current tensor is one of integers, as the image is
    for layer in network.layers:
        if isinstance(layer, Move):
            graph.move(layer)
            continue
        _convert(graph, layer.name, layer.map.input, integers=integers)
        _convolve(graph, layer)
        integers = False
    head = network.head
    _convert(graph, "head", head.input, integers=integers, scale=np.float32(1))
    add_head(graph, head)
    return graph.build(network.chain.model, metadata)


def _convert(
    graph: GraphBuilder,
    name: str,
    given: Quantised,
    *,
    integers: bool,
    scale: np.float32 | None = None,
) -> None:
    """Go from values to integers, if they are none yet, and back to values, perhaps rescaled."""
    zero = graph.constant(f"{name}_in_zero", np.uint8(given.zero))
    if not integers:
        stored = graph.constant(f"{name}_in_scale", given.scale)
        graph.add("QuantizeLinear", stored, zero, output=f"{name}_in_integers")
    wanted = graph.constant(f"{name}_in_unit", given.scale if scale is None else scale)
    graph.add("DequantizeLinear", wanted, zero, output=f"{name}_in")


def _convolve(graph: GraphBuilder, layer: IntegerConvolution) -> None:
    name, inner = layer.name, layer.map
    scales = graph.constant(f"{name}_weight_scale", inner.scales)
    units = graph.constant(f"{name}_bias_scale", inner.input.scale * inner.scales)
    weight = graph.dequantised(f"{name}_weight", inner.weight, scales)
    bias = graph.dequantised(f"{name}_bias", inner.bias, units)
    graph.add("Conv", weight, bias, output=f"{name}_sums", **layer.window)
    scale = graph.constant(f"{name}_out_scale", layer.output.scale)
    zero = graph.constant(f"{name}_out_zero", np.uint8(layer.output.zero))
    graph.add("QuantizeLinear", scale, zero, output=f"{name}_integers")
    graph.add("DequantizeLinear", scale, zero, output=layer.tensor)
