"""Integer networks: the same answers in every bit, in either spelling, on any CPU."""

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

from audit import measure_exactness
from audit.proof import prove
from export.quantize import (
    MagnitudeError,
    UnsupportedError,
    measure_ranges,
    quantize,
    read_chain,
    to_half,
    to_int8,
    to_integer,
    to_qdq,
)
from export.quantize.network import (
    LARGEST_SUM,
    WEIGHT_LIMIT,
    IntegerConvolution,
    Quantised,
    _integer_map,
)
from export.runtime import open_model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module", params=["D4", "trivial"])
def group(request):
    return request.param


@pytest.fixture(scope="module")
def floats(group, exported):
    return exported(group)


@pytest.fixture(scope="module")
def integers(floats, group, test_images):
    chain = read_chain(floats)
    return quantize(chain, measure_ranges(chain, test_images.images[:200], group))


@pytest.fixture(scope="module")
def int8(integers):
    return to_int8(integers, {"precision": "int8"}).SerializeToString()


@pytest.fixture(scope="module")
def integer(integers):
    return to_integer(integers, {"precision": "integer"}).SerializeToString()


@pytest.fixture(scope="module")
def qdq(integers):
    return to_qdq(integers, {"precision": "qdq"}).SerializeToString()


def bits(logits):
    return logits.view(np.uint32)


@pytest.mark.slow
def test_both_spellings_give_the_same_bits_and_nearly_the_float_logits(
    floats, int8, integer, test_images
):
    images = test_images.images
    expected = open_model(floats.SerializeToString())(images)
    logits = open_model(int8)(images)
    np.testing.assert_array_equal(bits(logits), bits(open_model(integer)(images)))
    spread = np.ptp(expected)
    assert np.abs(logits - expected).max() < 0.05 * spread
    assert np.abs(logits - expected).max() > 0


def test_onnx_itself_gives_the_bits_that_onnxruntime_gives(int8, integer, test_images):
    """What runs is a graph after optimisation; the standard's own evaluation knows none."""
    images = test_images.images[:8]
    for model in (int8, integer):
        reference = ReferenceEvaluator(model).run(["logits"], {"image": images})[0]
        np.testing.assert_array_equal(bits(open_model(model)(images)), bits(reference))


def test_no_bit_depends_on_the_rotation_the_batch_or_the_threads(
    group, int8, integer, qdq, test_images
):
    for model in (int8, integer, qdq):
        sessions = [(f"{n} threads", open_model(model, n)) for n in (1, 2)]
        found = measure_exactness(sessions, test_images.images[:70], group)
        assert found.exact
        assert found.max_logit_deviation == 0


def test_the_file_proves_it(group, int8, integer):
    for model in (int8, integer):
        proof = prove(model, "C4" if group == "trivial" else group)
        if group == "trivial":
            assert proof.outcome == "NOT PROVED"
        else:
            assert (proof.outcome, proof.arithmetic, proof.exact_bits) == (
                "PROVED",
                "integer",
                True,
            )


def test_the_form_with_floats_between_has_the_same_integers(group, int8, qdq, test_images):
    """The runtime finds them, and gives the same bits; the file does not promise it."""
    images = test_images.images
    np.testing.assert_array_equal(bits(open_model(qdq)(images)), bits(open_model(int8)(images)))
    proof = prove(qdq, "C4" if group == "trivial" else group)
    if group != "trivial":
        assert (proof.outcome, proof.arithmetic, proof.exact_bits) == ("PROVED", "quantised", False)


def test_openvino_gives_the_same_bits_whichever_way_images_are_turned(qdq, int8, test_images):
    openvino = pytest.importorskip("openvino", reason="openvino is not installed")
    images = test_images.images
    compiled = openvino.Core().compile_model(openvino.Core().read_model(qdq), "CPU")
    for rotated in (images, np.ascontiguousarray(np.rot90(images, 1, (2, 3)))):
        logits = compiled([rotated])[compiled.output("logits")]
        np.testing.assert_array_equal(bits(logits), bits(open_model(int8)(rotated)))


@pytest.mark.parametrize("form", ["int8", "qdq"])
def test_a_weight_that_is_off_by_one_is_neither_proved_nor_exact(request, form, group, test_images):
    if group == "trivial":
        pytest.skip("a plain network has no symmetry to break")
    mutant = onnx.load_model_from_string(request.getfixturevalue(form))
    weight = next(t for t in mutant.graph.initializer if len(t.dims) == 4)
    values = numpy_helper.to_array(weight).copy()
    values[0, 0, 0, 0] += 1 if values[0, 0, 0, 0] < WEIGHT_LIMIT else -1
    weight.raw_data = values.tobytes()
    data = mutant.SerializeToString()
    assert prove(data, group).outcome == "NOT PROVED"
    found = measure_exactness([("mutant", open_model(data))], test_images.images[:70], group)
    assert not found.exact


def test_16_bits_hold_any_pair_of_products():
    """Kernels for CPUs without VNNI add two of them, and would saturate."""
    assert np.iinfo(np.int16).max >= 2 * 255 * WEIGHT_LIMIT
    assert np.iinfo(np.int16).max < 2 * 255 * (WEIGHT_LIMIT + 1)


def linear_maps(integers):
    convolutions = [x.map for x in integers.layers if isinstance(x, IntegerConvolution)]
    assert len(convolutions) == 3
    return [*convolutions, integers.head]


def test_weights_use_the_range_and_keep_to_it(integers):
    for layer in linear_maps(integers):
        largest = np.abs(layer.weight.astype(int)).reshape(len(layer.weight), -1).max(1)
        assert (largest == WEIGHT_LIMIT).all()


def test_scales_are_coarser_where_sums_would_be_too_large_and_copies_stay_copies():
    random = np.random.default_rng(0)
    wide = random.uniform(0.5, 1, (1, 224, 5, 5))
    weight = np.concatenate([wide, np.rot90(wide, 1, (2, 3)), wide * np.eye(224)[0, :, None, None]])
    bias = np.array([0.3, 0.3, 0.3])
    found = _integer_map(weight, bias, Quantised(np.float32(0.02), 0))
    assert (found.largest_sums() < LARGEST_SUM).all()
    assert found.largest_sums()[:2].min() > 0.99 * LARGEST_SUM
    assert found.scales[0] == found.scales[1]
    np.testing.assert_array_equal(np.rot90(found.weight[0], 1, (1, 2)), found.weight[1])
    units = found.scales.astype(np.float64).reshape(-1, 1, 1, 1)
    assert (np.abs(found.weight * units - weight) <= units * 0.5001).all()
    assert np.abs(found.weight[2].astype(int)).max() == WEIGHT_LIMIT


def test_sums_that_floats_cannot_hold_are_refused_by_name(integers, monkeypatch):
    monkeypatch.setattr("export.quantize.integer.LARGEST_SUM", 1000)
    with pytest.raises(MagnitudeError, match="node_conv2d' may reach"):
        to_integer(integers, {})


def test_the_check_of_sums_is_no_looser_than_what_a_sum_reaches(integers, monkeypatch):
    """At the limit that the largest possible sum needs it passes, and below that it does not."""
    largest = 0
    for layer in linear_maps(integers):
        high = max(layer.input.zero, 255 - layer.input.zero)
        for filters, bias in zip(layer.weight.astype(int), layer.bias.astype(int), strict=True):
            largest = max(largest, int(np.abs(filters).sum()) * high + abs(int(bias)))
    monkeypatch.setattr("export.quantize.integer.LARGEST_SUM", largest + 1)
    to_integer(integers, {})
    monkeypatch.setattr("export.quantize.integer.LARGEST_SUM", largest)
    with pytest.raises(MagnitudeError):
        to_integer(integers, {})


def whole_weights_after_optimisation(model, path):
    """Whether the graph that onnxruntime runs multiplies by whole numbers alone."""
    options = ort.SessionOptions()
    options.optimized_model_filepath = str(path)
    options.log_severity_level = 3  # it warns that such a file is for this machine only
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED
    ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    graph = onnx.load(path).graph
    stored = {tensor.name: numpy_helper.to_array(tensor) for tensor in graph.initializer}
    kernels = [stored[n.input[1]] for n in graph.node if n.op_type in ("Conv", "FusedConv")]
    assert len(kernels) == 3
    return all((kernel % 1 == 0).all() for kernel in kernels)


def test_what_runs_multiplies_by_whole_numbers(integers, tmp_path):
    assert whole_weights_after_optimisation(to_integer(integers, {}), tmp_path / "kept.onnx")


def test_without_rounding_the_runtime_folds_scales_into_weights(integers, tmp_path):
    """The trap that `Round` is there for: were it gone, this would say that it is not needed."""
    model = to_integer(integers, {})
    exact = {n.output[0]: n.input[0] for n in model.graph.node if n.name.endswith("_exact")}
    assert len(exact) == 4
    for node in model.graph.node:
        node.input[:] = [exact.get(name, name) for name in node.input]
    kept = [node for node in model.graph.node if node.output[0] not in exact]
    del model.graph.node[:]
    model.graph.node.extend(kept)
    assert not whole_weights_after_optimisation(model, tmp_path / "folded.onnx")


def test_float16_stays_near_and_keeps_the_contract(floats, test_images):
    half = to_half(floats, {"precision": "fp16"})
    assert [value.name for value in half.graph.output] == ["logits", "probabilities"]
    kinds = {value.type.tensor_type.elem_type for value in half.graph.output}
    assert kinds == {onnx.TensorProto.FLOAT}
    assert {t.data_type for t in half.graph.initializer} == {
        onnx.TensorProto.FLOAT16,
        onnx.TensorProto.INT64,
    }
    expected = open_model(floats.SerializeToString())(test_images.images)
    logits = open_model(half.SerializeToString())(test_images.images)
    assert np.abs(logits - expected).max() < 0.01 * np.ptp(expected)


def test_what_is_not_quantised_is_named(floats):
    for op, sentence in (("Relu", "Sigmoid"), ("MaxPool", "AveragePool")):
        other = onnx.ModelProto()
        other.CopyFrom(floats)
        node = next(node for node in other.graph.node if node.op_type == op)
        node.op_type, node.name = sentence, "strange"
        with pytest.raises(UnsupportedError, match=f"'strange' .{sentence}. where"):
            read_chain(other)


def test_a_branch_is_refused(floats):
    other = onnx.ModelProto()
    other.CopyFrom(floats)
    last = next(node for node in other.graph.node if node.op_type == "Gemm")
    last.input[0] = other.graph.node[3].output[0]
    with pytest.raises(UnsupportedError, match="does not follow"):
        read_chain(other)
