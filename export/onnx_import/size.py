"""How large a graph is: what it stores, and what it multiplies for one image."""

from collections.abc import Mapping
from math import prod

import numpy as np
import onnx
from onnx import numpy_helper

from artifact.figures import NetworkSize
from artifact.inference import check_inference

_LINEAR = ("Conv", "ConvInteger", "Gemm", "MatMul", "MatMulInteger", "QLinearConv", "QLinearMatMul")
_WEIGHTS = {"QLinearConv": 3, "QLinearMatMul": 3}


def network_size(model: onnx.ModelProto) -> NetworkSize:
    """Count the stored floats and bytes, and the multiply-adds of convolutions and products."""
    single = onnx.ModelProto()
    single.CopyFrom(model)
    single.graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1
    for output in single.graph.output:
        output.type.tensor_type.shape.dim[0].dim_value = 1
    check_inference(single)
    graph = onnx.shape_inference.infer_shapes(single, data_prop=True).graph
    shapes = {
        value.name: [axis.dim_value for axis in value.type.tensor_type.shape.dim]
        for value in (*graph.value_info, *graph.input, *graph.output)
    }
    shapes |= {tensor.name: list(tensor.dims) for tensor in graph.initializer}
    return NetworkSize(
        free_parameters=None,
        baked_parameters=sum(
            array.size
            for array in map(numpy_helper.to_array, graph.initializer)
            if array.dtype.kind == "f" or array.dtype in (np.int8, np.uint8)
        ),
        multiply_adds=sum(_products(node, shapes) for node in graph.node),
    )


def _products(node: onnx.NodeProto, shapes: Mapping[str, list[int]]) -> int:
    """Outputs of a linear node, times the inputs that each of them weighs."""
    if node.op_type not in _LINEAR:
        return 0
    weights = shapes.get(node.input[_WEIGHTS.get(node.op_type, 1)], [])
    outputs = prod(shapes.get(node.output[0], []))
    if "Conv" in node.op_type:
        return outputs * prod(weights[1:])
    transposed = any(a.name == "transB" and a.i for a in node.attribute)
    return outputs * (weights[-1 if transposed else -2] if len(weights) > 1 else prod(weights))
