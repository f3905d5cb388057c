"""A tensor outside of the file, or that is not what it says, is refused wherever it is."""

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from artifact.onnx_file import read_onnx
from tests.artifact.onnx_file.files import sentence, small


def outside(location: str = "weights.bin") -> TensorProto:
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[2])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    return tensor


def nested(tensor: TensorProto) -> onnx.GraphProto:
    inner = helper.make_tensor_value_info("w", TensorProto.FLOAT, [2])
    return helper.make_graph([], "inner", [], [inner], [tensor])


def placed(where: str, tensor: TensorProto) -> bytes:
    """Put a tensor somewhere into a model."""
    model = small()
    node = model.graph.node.add(op_type="Constant", output=["c"])
    if where == "initialiser":
        model.graph.initializer.append(tensor)
    elif where == "sparse values":
        model.graph.sparse_initializer.add(values=tensor)
    elif where == "sparse indices":
        model.graph.sparse_initializer.add(indices=tensor)
    elif where == "attribute":
        node.attribute.append(helper.make_attribute("value", tensor))
    elif where == "attributes":
        node.attribute.add(name="value", type=onnx.AttributeProto.TENSORS).tensors.append(tensor)
    elif where == "sparse attribute":
        node.attribute.add(name="v", type=onnx.AttributeProto.SPARSE_TENSOR).sparse_tensor.CopyFrom(
            onnx.SparseTensorProto(values=tensor)
        )
    elif where == "subgraph":
        node.attribute.append(helper.make_attribute("body", nested(tensor)))
    elif where == "subgraphs":
        node.attribute.append(helper.make_attribute("bodies", [nested(tensor)]))
    elif where == "function":
        body = helper.make_node("Constant", [], ["y"], value=tensor)
        opset = [helper.make_opsetid("", 18)]
        model.functions.append(helper.make_function("local", "f", [], ["y"], [body], opset))
    elif where == "function's default":
        model.functions.add(name="f").attribute_proto.add(name="a").t.CopyFrom(tensor)
    elif where == "training":
        model.training_info.add().algorithm.initializer.append(tensor)
    return model.SerializeToString()


PLACES = (
    "initialiser",
    "sparse values",
    "sparse indices",
    "attribute",
    "attributes",
    "sparse attribute",
    "subgraph",
    "subgraphs",
    "function",
    "function's default",
    "training",
)


@pytest.mark.parametrize("where", PLACES)
def test_a_tensor_outside_of_the_file_is_found_wherever_it_is(where: str) -> None:
    refused = sentence(placed(where, outside()))
    assert "The file keeps the tensor 'w' outside of itself, in 'weights.bin'" in refused


@pytest.mark.parametrize("location", ["../../etc/passwd", "/etc/passwd", "", "*/_ORT_MEM_ADDR_/*"])
def test_no_place_outside_of_the_file_is_accepted(location: str) -> None:
    assert f"in {location!r}" in sentence(placed("initialiser", outside(location)))


def test_a_place_that_is_named_and_not_used_is_refused_too() -> None:
    tensor = numpy_helper.from_array(np.ones(2, np.float32), "w")
    tensor.external_data.add(key="location", value="weights.bin")
    assert "outside of itself" in sentence(placed("initialiser", tensor))


def sized(dims: list[int], count: int, kind: int = TensorProto.FLOAT) -> TensorProto:
    return TensorProto(name="w", data_type=kind, dims=dims, raw_data=bytes(count))


@pytest.mark.parametrize("where", PLACES)
def test_a_tensor_that_promises_more_than_there_is_is_found_wherever_it_is(where: str) -> None:
    refused = sentence(placed(where, sized([1000, 1000], 8)))
    assert (
        "'w' of the shape [1000, 1000] and the type FLOAT needs 4000000 bytes and has 8" in refused
    )


@pytest.mark.parametrize(
    ("tensor", "names"),
    [
        (sized([2], 7), "needs 8 bytes and has 7"),
        (sized([2], 9), "needs 8 bytes and has 9"),
        (sized([], 0), "needs 4 bytes and has 0"),
        (sized([2**62, 2**62, 4], 8), "bytes and has 8"),
        (sized([2**40] * 60, 8), "[1099511627776, 1099511627776, "),
        (sized([-2], 8), "an axis of negative length"),
        (sized([3], 1, TensorProto.INT4), "needs 2 bytes and has 1"),
        (sized([2], 8, kind=99), "elements of the type 99"),
        (sized([0], 0, kind=0), "elements of the type 0"),
        (
            TensorProto(name="w", data_type=1, dims=[3], float_data=[1.0]),
            "needs 3 values and has 1",
        ),
        (
            TensorProto(name="w", data_type=7, dims=[2**50]),
            "needs 1125899906842624 values and has 0",
        ),
        (TensorProto(name="w", data_type=8, dims=[2], string_data=[b"a"]), "needs 2 values"),
        (TensorProto(name="w", data_type=8, dims=[1], string_data=[b"\xff"]), "no UTF-8"),
        (TensorProto(name="w", data_type=14, dims=[1], float_data=[1.0]), "needs 2 values"),
        (TensorProto(name="w\n" * 200, data_type=1, dims=[1]), r"'w\nw\n"),
    ],
)
def test_a_tensor_is_what_its_shape_says(tensor: TensorProto, names: str) -> None:
    assert names in sentence(placed("initialiser", tensor))


def test_a_truth_value_is_0_or_1() -> None:
    """Of 256 ONNX makes False, and runtimes True."""
    for values in ([0, 256], [2, 1]):
        tensor = TensorProto(name="w", data_type=TensorProto.BOOL, dims=[2], int32_data=values)
        assert "truth values beside 0 and 1" in sentence(placed("initialiser", tensor))


def test_every_type_is_measured_as_onnx_writes_it() -> None:
    for kind in TensorProto.DataType.values():
        if kind in (TensorProto.UNDEFINED, TensorProto.STRING):
            continue
        array = np.ones(5, helper.tensor_dtype_to_np_dtype(kind))
        raw = numpy_helper.from_array(array, "w")
        assert raw.data_type == kind
        listed = helper.make_tensor("w", kind, [5], array.astype(array.dtype))
        for tensor in (raw, listed):
            model = small()
            model.graph.initializer[0].CopyFrom(tensor)
            model.ir_version = onnx.IR_VERSION
            model.graph.node[0].CopyFrom(helper.make_node("Identity", ["x"], ["y"]))
            read_onnx(model.SerializeToString())
            del tensor.dims[:]
            tensor.dims.append(9)
            model.graph.initializer[0].CopyFrom(tensor)
            assert "'w' of the shape [9]" in sentence(model.SerializeToString())


def test_a_sparse_tensor_that_is_huge_when_written_out_is_refused() -> None:
    model = small()
    value = sized([1], 4)
    index = sized([1], 8, TensorProto.INT64)
    model.graph.sparse_initializer.add(values=value, indices=index, dims=[2**20, 2**20])
    assert "1099511627776 elements when it is written out" in sentence(model.SerializeToString())


def test_sparse_tensors_that_are_huge_together_are_refused() -> None:
    model = small()
    for _ in range(3):
        value, index = sized([1], 4), sized([1], 8, TensorProto.INT64)
        model.graph.sparse_initializer.add(values=value, indices=index, dims=[2**14, 2**13])
    assert "402653184 elements when it is written out" in sentence(model.SerializeToString())


@pytest.mark.parametrize(
    ("dims", "reason"),
    [([1] * 65, "has 65 axes; at most 64"), ([0, 2**40, 2**40], "too long to be counted")],
)
def test_a_shape_that_no_array_has_is_refused(dims: list[int], reason: str) -> None:
    model = small()
    model.graph.initializer.add(
        name="odd", dims=dims, data_type=TensorProto.FLOAT, raw_data=bytes(0 if 0 in dims else 4)
    )
    assert reason in sentence(model.SerializeToString())
