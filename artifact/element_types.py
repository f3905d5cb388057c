"""Types of a graph's tensors, inferred so that no file ends the process."""

import secrets

import onnx
from onnx import GraphProto, TensorProto, helper

from artifact.subgraphs import subgraphs


def infer_types(model: onnx.ModelProto) -> GraphProto:
    """Return a copy of the graph that notes the types of tensors, as they follow from its nodes.

    ONNX aborts where it knows the bounds of a Slice along a side that it takes for negative, as
    behind a window that does not fit. So bounds are unknown in the copy, functions are none of it,
    and shapes may be unknown where the file says them.

    Raises
    ------
    onnx.shape_inference.InferenceError
        If types or shapes do not fit together.
    """
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    del copy.functions[:]
    bounds = f"bounds {secrets.token_hex(16)}"  # which no file can foresee
    copy.graph.input.append(helper.make_tensor_value_info(bounds, TensorProto.INT64, None))
    _forget_bounds(copy.graph, bounds)
    inferred: GraphProto = onnx.shape_inference.infer_shapes(copy).graph
    return inferred


def _forget_bounds(graph: GraphProto, bounds: str) -> None:
    for node in graph.node:
        if node.op_type == "Slice" and len(node.input) > 2:
            node.input[1] = node.input[2] = bounds
        for inner in subgraphs(node):
            _forget_bounds(inner, bounds)
