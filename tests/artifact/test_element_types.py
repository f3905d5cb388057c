"""Types are inferred of files that ONNX's own inference ends the process with."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from artifact.element_types import infer_types


def sliced(steps: int, *, in_a_branch: bool) -> onnx.ModelProto:
    """A window of 5 pixels that does not fit into 3: ONNX takes a side of -1 for what it gives."""
    numbers = {"starts": -1, "ends": -100, "axes": 3, "steps": steps}
    stored = [numpy_helper.from_array(np.array([n]), name) for name, n in numbers.items()]
    stored.append(numpy_helper.from_array(np.ones((1, 1, 5, 5), np.float32), "weights"))
    stored.append(numpy_helper.from_array(np.array(True), "yes"))
    first = [
        helper.make_node("Cast", ["image"], ["floats"], to=TensorProto.FLOAT),
        helper.make_node("Conv", ["floats", "weights"], ["filtered"]),
    ]
    last = [helper.make_node("Slice", ["filtered", *numbers], ["part"])]
    out = helper.make_tensor_value_info("part", TensorProto.FLOAT, None)
    if in_a_branch:
        branch = helper.make_graph(last, "branch", [], [out])
        last = [helper.make_node("If", ["yes"], ["part"], then_branch=branch, else_branch=branch)]
    image = helper.make_tensor_value_info("image", TensorProto.UINT8, ["N", 1, 3, 3])
    graph = helper.make_graph([*first, *last], "graph", [image], [out], stored)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


@pytest.mark.parametrize("steps", [1, -1])
@pytest.mark.parametrize("in_a_branch", [False, True])
def test_a_slice_of_a_side_that_is_taken_for_negative_ends_no_process(steps, in_a_branch):
    graph = infer_types(sliced(steps, in_a_branch=in_a_branch))
    values = (*graph.value_info, *graph.output)
    found = {value.name: value.type.tensor_type.elem_type for value in values}
    assert found["floats"] == found["filtered"] == found["part"] == TensorProto.FLOAT
