"""An integer network as float32 operators that hold integers, for devices without 8-bit ones.

Sums of whole numbers below 2^24 are exact in float32, in whatever order a kernel takes them. All
values are those of the 8-bit form minus its zero point, so that padding with zeros means the same.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import onnx

from artifact.contract import LOGITS
from audit import RefusedError
from export.quantize.chain import Move
from export.quantize.graph import GraphBuilder
from export.quantize.network import (
    LARGEST_SUM,
    IntegerConvolution,
    IntegerMap,
    IntegerNetwork,
)

_LEVELS: Final = 255


class MagnitudeError(RefusedError):
    """A sum of a layer may grow too large to be exact in float32; the message names the layer."""


def to_integer(network: IntegerNetwork, metadata: Mapping[str, str]) -> onnx.ModelProto:
    """Return ``network`` with float32 activations and weights that are whole numbers.

    Raises
    ------
    MagnitudeError
        If a partial sum of a layer may reach 2^24.
    """
    graph = GraphBuilder()
    graph.add("Cast", output="grey", to=onnx.TensorProto.FLOAT)
    first = next(layer for layer in network.layers if isinstance(layer, IntegerConvolution))
    zero = np.float32(first.map.input.zero)
    graph.add("Sub", graph.constant("grey_zero", zero), output="centred")
    for layer in network.layers:
        if isinstance(layer, Move):
            graph.move(layer)
        else:
            _convolve(graph, layer)
    add_head(graph, network.head)
    return graph.build(network.chain.model, metadata)


def add_head(graph: GraphBuilder, head: IntegerMap) -> None:
    """Add the last linear map, whose input are whole numbers in float32, zero where ``zero`` was.

    Raises
    ------
    MagnitudeError
        If a partial sum may reach 2^24.
    """
    _check(head, "the linear map at the end")
    weight = graph.constant("head_weight", head.weight.T.astype(np.float32))
    bias = graph.constant("head_bias", head.bias.astype(np.float32))
    graph.add("Gemm", weight, bias, output="accumulators")
    _scale(graph, "head", head.input.scale * head.scales, LOGITS)


def _convolve(graph: GraphBuilder, layer: IntegerConvolution) -> None:
    name, inner, output = layer.name, layer.map, layer.output
    _check(inner, f"'{name}'")
    graph.add(
        "Conv",
        graph.constant(f"{name}_weight", inner.weight.astype(np.float32)),
        graph.constant(f"{name}_bias", inner.bias.astype(np.float32)),
        output=f"{name}_accumulators",
        **layer.window,
    )
    # The order in which the 8-bit kernels compute this number, for the same bits.
    factors = (inner.input.scale * inner.scales / output.scale).reshape(-1, 1, 1)
    _scale(graph, name, factors, f"{name}_scaled")
    graph.add("Round", output=f"{name}_whole")
    least = graph.constant(f"{name}_least", np.float32(-output.zero))
    most = graph.constant(f"{name}_most", np.float32(_LEVELS - output.zero))
    graph.add("Clip", least, most, output=layer.tensor)


def _scale(graph: GraphBuilder, name: str, factors: np.ndarray, output: str) -> None:
    """Multiply accumulators by what they mean.

    ``Round`` changes no whole number. It keeps onnxruntime from folding the factors into the
    weights, which would not be whole any more.
    """
    graph.add("Round", output=f"{name}_exact")
    graph.add("Mul", graph.constant(f"{name}_factors", factors), output=output)


def _check(layer: IntegerMap, name: str) -> None:
    magnitude = int(layer.largest_sums().max())
    if magnitude >= LARGEST_SUM:
        raise MagnitudeError(
            f"A sum of {name} may reach {magnitude:,}, and float32 holds every integer only below "
            f"{LARGEST_SUM:,}; a layer with fewer inputs is accepted."
        )
