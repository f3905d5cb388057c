"""Files that may do another thing for some number of images, and those that may not."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given
from hypothesis import strategies as st
from onnx import helper, numpy_helper

from artifact.batch_sizes import buckets, cut_into, hangs_on_batch
from artifact.session import check_stays_alive
from export.runtime import open_model
from imaging import RefusedError
from service.audits.targets.file import open_file
from service.settings import Settings
from tests.artifact.onnx_file.files import parse

_MODELS = Path(__file__).parents[2] / "model_repository"


def network(nodes: str, opset: int = 18) -> onnx.ModelProto:
    return parse(f"""
        <ir_version: 9, opset_import: ["" : {opset}]>
        network (uint8[N, 1, 4, 4] image) => (float[a, b, c, d] y)
        <int64[1] three = {{3}}, int64[1] late = {{-3}}, int64[1] none = {{0}}, bool yes = {{1}}> {{
            f = Cast<to = 1>(image) {nodes}
        }}
    """)


@pytest.mark.parametrize(
    "nodes",
    [
        "s = Shape(f) y = Expand(f, s)",
        "s = Size(f) c = Cast<to = 1>(s) y = Add(f, c)",
        "q = SplitToSequence<axis = 0>(f) n = SequenceLength(q) c = Cast<to = 1>(n) y = Mul(f, c)",
        "y = Slice(f, late, three, none)",
        "y = Slice(f, three, late, none)",
        "k = Constant<value_ints = [1]>() y = Slice(f, k, late, none)",
        "a = Add(none, three) y = Slice(f, a, three, none)",
        "y = If<then_branch = t () => (float[a, b, c, d] z) "
        "<int64[1] late = {3}, int64[1] up = {4}> { z = Slice(f, late, up, none) }, "
        "else_branch = e () => (float[a, b, c, d] z) { z = Relu(f) }>(yes)",
        "y = If<then_branch = t () => (float[a, b, c, d] z) { s = Shape(f) z = Expand(f, s) }, "
        "else_branch = e () => (float[a, b, c, d] z) { z = Relu(f) }>(yes)",
    ],
)
def test_what_asks_for_a_size_may_hang_on_the_batch(nodes: str) -> None:
    assert hangs_on_batch(network(nodes))


@pytest.mark.parametrize(
    "nodes",
    [
        "y = Relu(f)",
        "y = Flatten(f)",
        "y = Slice(f, none, three, none)",
        "y = Slice(f, late, late, none)",
        "k = Constant<value = int64[1] {1}>() y = Slice(f, k, three, none)",
        "t = Transpose(f) y = Slice(t, three, three, three)",
    ],
)
def test_what_neither_asks_nor_narrows_does_not(nodes: str) -> None:
    assert not hangs_on_batch(network(nodes))


def test_bounds_may_be_attributes() -> None:
    narrow, wide = (
        network(f"y = Slice<axes = [0], starts = [{start}], ends = [3]>(f)", opset=9)
        for start in (-3, 1)
    )
    assert hangs_on_batch(narrow) and not hangs_on_batch(wide)


@pytest.mark.parametrize("data", [b"", b"1", b"12345678" * 3])
def test_bounds_that_are_none_are_no_defect(data: bytes) -> None:
    """The file does not open, and whoever opens it says why."""
    model = network("y = Slice(f, late, late, none)")
    for tensor in model.graph.initializer:
        tensor.ClearField("int64_data")
        tensor.raw_data = data
    assert hangs_on_batch(model) or len(data) == 24
    check_stays_alive(model.SerializeToString())


_BOUND = st.integers(-6, 6) | st.sampled_from([-(2**63), 2**63 - 1])


@given(_BOUND, _BOUND, st.integers(-3, 3).filter(bool))
def test_other_slices_leave_no_less_of_what_is_longer(start: int, end: int, step: int) -> None:
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Slice", ["x", "start", "end", "", "step"], ["y"])],
            "g",
            [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, ["n"])],
            [helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["m"])],
            [
                numpy_helper.from_array(np.array([value]), name)
                for name, value in (("start", start), ("end", end), ("step", step))
            ],
        )
    )
    left = [len(range(length)[slice(start, end, step)]) for length in range(1, 20)]
    assert hangs_on_batch(model) or left == sorted(left)


def asking_for_the_batch(graph: bytes) -> bytes:
    """Add the number of images in the batch to the logits."""
    model = onnx.load_from_string(graph)
    for node in model.graph.node:
        node.output[:] = ["plain" if name == "logits" else name for name in node.output]
        node.input[:] = ["plain" if name == "logits" else name for name in node.input]
    first = numpy_helper.from_array(np.array(0), "first of all")
    model.graph.initializer.append(first)
    for op, inputs, output, attributes in (
        ("Shape", ["image"], "sides", {}),
        ("Gather", ["sides", first.name], "many", {"axis": 0}),
        ("Cast", ["many"], "number", {"to": onnx.TensorProto.FLOAT}),
        ("Add", ["plain", "number"], "logits", {}),
    ):
        model.graph.node.append(onnx.helper.make_node(op, inputs, [output], **attributes))
    return bytes(model.SerializeToString())


def test_audits_and_exports_run_batches_that_were_tried(tmp_path: Path) -> None:
    data = (_MODELS / "rotmnist-c4-small" / "1" / "model.onnx").read_bytes()
    images = np.random.default_rng(0).integers(0, 256, (7, 1, 28, 28), np.uint8)
    file = tmp_path / "asking.onnx"
    file.write_bytes(asking_for_the_batch(data))
    expected = open_model(data)(images) + np.array([[4], [4], [4], [4], [2], [2], [1]])
    for classify in (open_model(file.read_bytes()), open_file(file, Settings())[0].classify):
        np.testing.assert_allclose(classify(images), expected, rtol=1e-5, atol=1e-5)


@given(st.integers(1, 200), st.integers(1, 70))
def test_a_batch_is_cut_into_few_that_were_tried(count: int, most: int) -> None:
    images, sizes = np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1), buckets(most)
    parts = cut_into(images, sizes)
    assert {len(part) for part in parts} <= {*sizes}
    assert len(parts) <= count // most + most.bit_length()
    np.testing.assert_array_equal(np.concatenate(parts), images)
    assert [len(part) for part in cut_into(images, [])] == [count]


def test_powers_of_two_and_the_largest_are_tried() -> None:
    assert buckets(1) == [1]
    assert buckets(6) == [1, 2, 4, 6]
    assert buckets(64) == [1, 2, 4, 8, 16, 32, 64]


@pytest.mark.parametrize("images", [1, 4, 64])
def test_a_file_that_ends_the_process_with_so_many_images_is_refused(images: int) -> None:
    """Of so many it takes a part without an entry, beyond which onnxruntime reads."""
    model = network(
        "s = Shape(f) n = Gather<axis = 0>(s, first) d = Sub(n, deadly) a = Abs(d) "
        "u = Unsqueeze(a, none) e = Slice(f, none, u, three) y = InstanceNormalization(e, one, one)"
    )
    for name, value in (("first", 0), ("deadly", images), ("one", np.ones(1, np.float32))):
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    with pytest.raises(RefusedError, match=r"ends the process .* \(Segmentation fault\)"):
        check_stays_alive(model.SerializeToString())
