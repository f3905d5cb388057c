"""Whatever a file's last nodes do, what is served are the probabilities that it gives itself."""

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper
from scipy.special import softmax

from artifact.probabilities import unlike_logits
from audit.proof import prove
from export.onnx_import.adapt import adapt
from export.onnx_import.answers import check_answers
from export.onnx_import.graphs import OnnxImportError, finished
from export.onnx_import.inputs import Scaling

CLASSES = 4
SCALING = Scaling(1 / 255)
random = np.random.default_rng(5)
WEIGHTS = {
    "W": random.standard_normal((6, 3, 3, 3)),
    "H": random.standard_normal((6, CLASSES)),
    "ONE": random.standard_normal((6, 1)),
    "HUNDRED": np.array(100),
    "TENTH": np.array(0.1),
    "WHOLE": np.array(1),
    "TEN": np.array([10]),
    "PRIOR": np.array([1, 2, 5, 1]),
    "LOW": np.array(1e-4),
    "HIGH": np.array(1 - 1e-4),
    "FIVES": 5 * np.eye(4),
}
INTEGERS = {"ROW": [0, -1], "SPREAD": [0, -1, 1, 1], "AXIS": [1], "TWO": [2, 3]}
QUANTISED = {"STEP": np.float32(1 / 256), "COARSE": np.float32(0.25), "ZERO": np.uint8(0)}
BODY = "f = Conv<pads = [1, 1, 1, 1]>(x, W) g = GlobalAveragePool(f) v = Reshape(g, ROW)"
BODY += " l = MatMul(v, H) "
SINGLE = BODY.replace("H)", "ONE)")


def file(end: str, body: str = BODY, outputs: str = "float[N, 4] y", **more: Any) -> bytes:
    text = f'<ir_version: 8, opset_import: ["" : 17]> net (float[N, 3, 6, 6] x) => ({outputs})'
    proto = onnx.parser.parse_model(f"{text} {{ {body} {end} }}")
    values = {name: np.asarray(value, np.float32) for name, value in WEIGHTS.items()}
    values |= {name: np.array(value) for name, value in INTEGERS.items()} | QUANTISED
    used = {name for node in proto.graph.node for name in node.input}
    for name, value in {**values, **more}.items():
        if name in used:
            proto.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return bytes(proto.SerializeToString())


def pictures(count: int = 7) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (count, 3, 6, 6), np.uint8)


def answers(given: bytes, output: str | None = None) -> NDArray[np.float64]:
    """What the file itself says of the pictures."""
    session = onnxruntime.InferenceSession(given, providers=["CPUExecutionProvider"])
    found = session.run(output and [output], {"x": pictures() * np.float32(SCALING.scale)})[0]
    return np.asarray(found, np.float64).reshape(len(pictures()), -1)


def serve(
    given: bytes, classes: int = CLASSES, **options: Any
) -> tuple[NDArray[Any], NDArray[Any]]:
    found = adapt(given, classes, scaling=SCALING, **options)
    model = finished(found.model, {})
    check_answers(given, found, model, pictures(), classes)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    logits, probabilities = session.run(["logits", "probabilities"], {"image": pictures()})
    several = found.multi_label
    assert unlike_logits(model, logits, probabilities, multi_label=several) is None
    return logits, probabilities


SOFT = "p = Softmax<axis = -1>(l)"
QDQ = "q = QuantizeLinear({0}, STEP, ZERO) y = DequantizeLinear(q, STEP, ZERO)"
BEHIND = {
    "nothing": ("y = Softmax<axis = -1>(l)", 1),
    "identity": (f"{SOFT} y = Identity(p)", 1),
    "cast": (f"{SOFT} y = Cast<to = 1>(p)", 1),
    "through half": (f"{SOFT} h = Cast<to = 10>(p) y = Cast<to = 1>(h)", 1),
    "reshape": (f"{SOFT} y = Reshape(p, SPREAD)", 1),
    "squeeze": ("s = Reshape(l, SPREAD) p = Softmax<axis = 1>(s) y = Squeeze(p, TWO)", 1),
    "flatten": ("s = Reshape(l, SPREAD) p = Softmax<axis = 1>(s) y = Flatten(p)", 1),
    "clip": (f"{SOFT} y = Clip(p, LOW, HIGH)", 1),
    "percent": (f"{SOFT} y = Mul(p, HUNDRED)", 100),
    "factor in front": (f"{SOFT} y = Mul(HUNDRED, p)", 100),
    "divided": (f"{SOFT} y = Div(p, TENTH)", 10),
    "shifted": (f"{SOFT} z = Mul(p, HUNDRED) y = Sub(z, z0)", 100),
    "quantised": (f"{SOFT} {QDQ.format('p')}", 1),
    "percent, quantised, cast": (
        f"{SOFT} {QDQ.format('p').replace('y =', 'd =')} e = Cast<to = 1>(d) y = Mul(e, HUNDRED)",
        100,
    ),
    "in front of a sum": (f"{SOFT} t = Add(p, z0) y = Sub(t, z0)", 1),
}


@pytest.mark.parametrize("name", BEHIND)
def test_what_stands_behind_a_softmax_is_undone(name: str) -> None:
    end, scale = BEHIND[name]
    outputs = "float[N, 4, 1, 1] y" if name == "reshape" else "float[N, 4] y"
    given = file(end, outputs=outputs, z0=np.float32(0))
    logits, probabilities = serve(given)
    expected = answers(given) / scale
    np.testing.assert_allclose(probabilities, expected, atol=2e-3 if "half" in name else 1e-5)
    assert np.abs(softmax(logits, axis=1) - expected).max() < 0.01
    assert np.array_equal(logits.argmax(1), expected.argmax(1))


def test_integers_are_read_by_their_scale() -> None:
    outputs = "uint8[N, 4] y"
    given = file(f"{SOFT} y = QuantizeLinear(p, STEP, ZERO)", outputs=outputs)
    assert np.array_equal(serve(given)[1], answers(given) / 256)
    zero = np.uint8(128)
    given = file("y = QuantizeLinear(l, COARSE, MID)", outputs=outputs, MID=zero)
    logits, probabilities = serve(given)
    assert np.abs(logits - 0.25 * (answers(given) - 128)).max() <= 0.125
    np.testing.assert_allclose(probabilities, softmax(logits, axis=1), atol=1e-6)
    given = file("i = Cast<to = 2>(l) y = Identity(i)", outputs=outputs)
    with pytest.raises(OnnxImportError, match="is of integers"):
        serve(given)


LOGITS = {
    "as they are": "y = Identity(l)",
    "a temperature": "y = Mul(l, TEN)",  # belongs to the network, and is not undone
    "logarithms": "y = LogSoftmax<axis = -1>(l)",
    "logarithms of a softmax": f"{SOFT} y = Log(p)",
    "rectified": "y = Relu(l)",
    "of features between nought and one": "h = Sigmoid(l) y = MatMul(h, FIVES)",
    "of attention": f"{SOFT} h = Mul(p, l) y = MatMul(h, FIVES)",
    "a temperature that was learnt": "e = Exp(TENTH) y = Mul(l, e)",
    "logarithms of a softmax and a little": f"{SOFT} s = Add(p, LOW) y = Log(s)",
}


@pytest.mark.parametrize("name", LOGITS)
def test_logits_are_served_as_they_are(name: str) -> None:
    given = file(LOGITS[name])
    logits, probabilities = serve(given)
    np.testing.assert_allclose(logits, answers(given), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(probabilities, softmax(answers(given), axis=1), atol=1e-5)


UNCLEAR = {
    "a prior": f"{SOFT} y = Mul(p, PRIOR)",
    "a difference": f"{SOFT} y = Sub(HUNDRED, p)",
    "scaled logarithms": f"{SOFT} s = Log(p) y = Mul(s, TENTH)",
    "logarithms of one and more": f"{SOFT} s = Add(p, WHOLE) y = Log(s)",
    "powers": f"{SOFT} y = Pow(p, HUNDRED)",
    "a mean of two": f"{SOFT} m = Mul(l, TENTH) o = Softmax<axis = -1>(m) y = Add(p, o)",
    "logarithms of sigmoids": "m = Neg(l) s = Softplus(m) y = Neg(s)",
    "between minus one and one": "y = Tanh(l)",
    "mixed probabilities": f"{SOFT} y = MatMul(p, FIVES)",
    "a softmax by hand": "e = Exp(l) t = ReduceSum(e, AXIS) y = Div(e, t)",
}


@pytest.mark.parametrize("name", UNCLEAR)
def test_what_stays_unclear_is_refused_until_somebody_says_it(name: str) -> None:
    given = file(UNCLEAR[name])
    with pytest.raises(OnnxImportError, match="--output-kind says so") as refused:
        serve(given)
    assert str(refused.value).endswith(".")
    logits, _ = serve(given, output_kind="logits")
    np.testing.assert_allclose(logits, answers(given), rtol=1e-4, atol=1e-5)
    if name == "a softmax by hand":
        _, probabilities = serve(given, output_kind="probabilities")
        np.testing.assert_allclose(probabilities, answers(given), atol=1e-6)
    else:
        with pytest.raises(OnnxImportError, match="are no probabilities"):
            serve(given, output_kind="probabilities")


@pytest.mark.parametrize("source", ["l", "p"])
def test_sorted_numbers_are_of_no_class(source: str) -> None:
    """All of them, so that there are as many as there are classes."""
    given = file(f"{SOFT} y, i = TopK({source}, ALL)", ALL=np.array([CLASSES]))
    with pytest.raises(OnnxImportError, match="TopK, which sorts"):
        serve(given)


@pytest.mark.parametrize(("scale", "kind"), [(1, "probabilities"), (100, "percent")])
def test_numbers_that_sum_to_a_whole_are_not_taken_for_logits(scale: int, kind: Any) -> None:
    """A normalisation that no rule knows: squares, divided by their sum."""
    end = "s = Mul(l, l) t = ReduceSum(s, AXIS) d = Div(s, t) y = Mul(d, W1)"
    given = file(end, W1=np.float32(scale))
    with pytest.raises(OnnxImportError, match=f"sum to {scale}.*--output-kind {kind}"):
        serve(given)
    logits, probabilities = serve(given, output_kind=kind)
    np.testing.assert_allclose(probabilities, answers(given) / scale, atol=1e-6)
    np.testing.assert_allclose(softmax(logits, axis=1), answers(given) / scale, atol=1e-5)


def test_numbers_between_nought_and_one_are_asked_about() -> None:
    given = file("c = Mul(l, TENTH) y = Clip(c, LOW, HIGH)")
    with pytest.raises(OnnxImportError, match="between 0 and 1 alone"):
        serve(given)
    serve(given, output_kind="logits")


SINGLES = {
    "a sigmoid": ("y = Sigmoid(l)", None, lambda y: y),
    "a sigmoid, quantised": (f"p = Sigmoid(l) {QDQ.format('p')}", None, lambda y: y),
    "per cent": ("p = Sigmoid(l) y = Mul(p, HUNDRED)", None, lambda y: y / 100),
    "a logit": ("y = Identity(l)", "logits", lambda y: 1 / (1 + np.exp(-y))),
    "by hand": ("n = Neg(l) e = Exp(n) a = Add(e, W1) y = Div(W1, a)", "sigmoid", lambda y: y),
}


@pytest.mark.parametrize("name", SINGLES)
def test_one_number_is_of_the_second_class(name: str) -> None:
    end, kind, probability = SINGLES[name]
    given = file(end, SINGLE, "float[N, 1] y", W1=np.float32(1))
    logits, probabilities = serve(given, 2, output_kind=kind)
    second = probability(answers(given))
    np.testing.assert_allclose(probabilities, np.hstack([1 - second, second]), atol=1e-5)
    assert np.abs(softmax(logits, axis=1) - probabilities).max() < 0.01
    if kind is not None:
        with pytest.raises(OnnxImportError, match="--output-kind"):
            serve(given, 2)


def test_classes_that_do_not_exclude_each_other_have_probabilities_of_their_own() -> None:
    given = file("y = Sigmoid(l)")
    logits, probabilities = serve(given)
    np.testing.assert_allclose(probabilities, answers(given), atol=1e-6)
    np.testing.assert_allclose(probabilities, 1 / (1 + np.exp(-logits)), atol=1e-6)


@pytest.mark.parametrize(
    "end", ["p = Sigmoid(l)", "t = Mul(l, TENTH) p = Softmax<axis = -1>(t)"], ids=["labels", "soft"]
)
def test_the_files_own_probabilities_are_served_where_logits_are_beside_them(end: str) -> None:
    """A plain softmax of the logits would be another answer than the file's."""
    outputs = "float[N, 4] logits, float[N, 4] p"
    given = file(f"logits = Identity(l) {end}", outputs=outputs)
    _, probabilities = serve(given)
    np.testing.assert_allclose(probabilities, answers(given, "p"), atol=1e-6)
    logits, _ = serve(given, output="logits")
    np.testing.assert_allclose(logits, answers(given, "logits"), rtol=1e-4, atol=1e-5)


def test_what_is_said_may_not_contradict_the_graph() -> None:
    with pytest.raises(
        OnnxImportError, match="comes from a Softmax, and --output-kind says logits"
    ):
        serve(file("y = Softmax<axis = -1>(l)"), output_kind="logits")
    given = file("y = Identity(l)")
    with pytest.raises(OnnxImportError, match="are no probabilities"):
        serve(given, output_kind="probabilities")


def test_a_softmax_over_something_else_is_refused() -> None:
    given = file("s = Reshape(l, SPREAD) p = Softmax<axis = 3>(s) y = Flatten(p)")
    with pytest.raises(OnnxImportError, match="are no probabilities"):
        serve(given)


def test_outputs_that_are_no_tensors_are_left_out() -> None:
    model = onnx.load_model_from_string(file("y = Softmax<axis = -1>(l)"))
    model.opset_import.append(helper.make_opsetid("ai.onnx.ml", 2))
    node = helper.make_node(
        "ZipMap", ["y"], ["map"], domain="ai.onnx.ml", classlabels_int64s=list(range(CLASSES))
    )
    model.graph.node.append(node)
    values = helper.make_map_type_proto(
        onnx.TensorProto.INT64, helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, [])
    )
    output = helper.make_value_info("map", helper.make_sequence_type_proto(values))
    model.graph.output.append(output)
    expected = answers(file("y = Softmax<axis = -1>(l)"))
    np.testing.assert_allclose(serve(model.SerializeToString())[1], expected, atol=1e-6)


def test_a_file_whose_only_output_is_no_tensor_or_that_has_none_is_told_as_that() -> None:
    model = onnx.load_model_from_string(file("y = Identity(l)"))
    del model.graph.output[:]
    with pytest.raises(OnnxImportError, match="The file has no output; one number"):
        serve(model.SerializeToString())
    tensor = helper.make_tensor_type_proto(onnx.TensorProto.FLOAT, None)
    sequence = helper.make_value_info("s", helper.make_sequence_type_proto(tensor))
    model.graph.node.append(helper.make_node("SequenceConstruct", ["y"], ["s"]))
    model.graph.output.append(sequence)
    with pytest.raises(OnnxImportError, match="The output 's' is no tensor, as a sequence"):
        serve(model.SerializeToString())


def test_labels_among_the_outputs_are_left_out() -> None:
    given = file(
        "y = Softmax<axis = -1>(l) label = ArgMax<axis = 1, keepdims = 0>(l)",
        outputs="int64[N] label, float[N, 4] y",
    )
    np.testing.assert_allclose(serve(given)[1], answers(given, "y"), atol=1e-6)


def test_a_file_of_the_third_version_has_its_weights_as_inputs() -> None:
    model = onnx.load_model_from_string(file("y = Identity(l)"))
    model.ir_version = 3
    for tensor in model.graph.initializer:
        value = helper.make_tensor_value_info(tensor.name, tensor.data_type, tensor.dims)
        model.graph.input.append(value)
    expected = answers(file("y = Identity(l)"))
    np.testing.assert_allclose(serve(model.SerializeToString())[0], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    "shape", [["N", "C", 6, 6], [0, 3, 6, 6], [-1, 3, 6, 6]], ids=["channels", "0", "-1"]
)
def test_open_axes_are_read_from_the_graph(shape: list[int | str]) -> None:
    model = onnx.load_model_from_string(file("y = Identity(l)"))
    del model.graph.input[:]
    model.graph.input.append(helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, shape))
    expected = answers(file("y = Identity(l)"))
    np.testing.assert_allclose(serve(model.SerializeToString())[0], expected, rtol=1e-4, atol=1e-5)


def test_colours_come_in_the_order_that_the_file_takes() -> None:
    scaling = Scaling(1 / 255, (0.1, 0.2, 0.3), (0.5, 1, 2), bgr=True)
    given = file("y = Identity(l)")
    found = adapt(given, CLASSES, scaling=scaling)
    model = finished(found.model, {})
    check_answers(given, found, model, pictures(), CLASSES)
    session = onnxruntime.InferenceSession(model, providers=["CPUExecutionProvider"])
    plain = onnxruntime.InferenceSession(given, providers=["CPUExecutionProvider"])
    mean, std = (np.reshape(each, (3, 1, 1)) for each in (scaling.mean, scaling.std))
    fed = ((pictures()[:, ::-1] / 255 - mean) / std).astype(np.float32)
    np.testing.assert_allclose(
        session.run(["logits"], {"image": pictures()})[0],
        plain.run(None, {"x": fed})[0],
        rtol=1e-4,
        atol=1e-5,
    )


def test_a_file_that_reads_blue_first_is_proved_as_one_that_reads_red_first() -> None:
    kernel = np.repeat(random.standard_normal((6, 3, 1, 1)), 9).reshape(6, 3, 3, 3)
    given = file("y = Identity(l)", W=kernel.astype(np.float32))
    for bgr in (False, True):
        found = adapt(given, CLASSES, scaling=Scaling(1 / 255, (0.1, 0.2, 0.3), bgr=bgr))
        assert prove(finished(found.model, {}), "D4").outcome == "PROVED"


def test_a_file_that_keeps_the_contract_may_say_what_it_holds() -> None:
    """The option that a refusal names is listened to."""
    body = f"s = Cast<to = 1>(image) {BODY}".replace("(x, W)", "(s, W)")
    end = "c = Mul(l, TENTH) logits = Clip(c, LOW, HIGH) probabilities = Softmax<axis = 1>(logits)"
    outputs = "float[N, 4] logits, float[N, 4] probabilities"
    model = onnx.load_model_from_string(file(end, body, outputs))
    del model.graph.input[:]
    image = helper.make_tensor_value_info("image", onnx.TensorProto.UINT8, ["N", 3, 6, 6])
    model.graph.input.append(image)
    given = model.SerializeToString()
    for kind in (None, "logits"):
        found = adapt(given, CLASSES, output_kind=kind)  # type: ignore[arg-type]
        made = finished(found.model, {})
        if kind is None:
            with pytest.raises(OnnxImportError, match="between 0 and 1 alone"):
                check_answers(given, found, made, pictures(), CLASSES)
        else:
            check_answers(given, found, made, pictures(), CLASSES)


@pytest.mark.parametrize("ends", ["", " m = Sigmoid(f)", " m = Softmax<axis = 1>(f)"])
def test_a_map_is_refused_by_its_shape(ends: str) -> None:
    name = "m" if ends else "f"
    given = file(ends, BODY.split(" g =")[0], f"float[N, 6, 6, 6] {name}")
    with pytest.raises(OnnxImportError, match=r"has the shape \[N, 6, 6, 6\], as a map or"):
        serve(given, 6)
