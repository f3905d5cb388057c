"""Files as other exporters write them, brought into the contract or refused in one sentence."""

import re
from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from export.onnx_import.adapt import adapt
from export.onnx_import.answers import check_answers
from export.onnx_import.graphs import OnnxImportError, finished
from export.onnx_import.inputs import Scaling
from export.onnx_import.options import read_classes, read_scaling
from export.onnx_import.preprocessing import Preprocessing
from export.onnx_import.size import network_size
from imaging import RefusedError
from tests.artifact.test_element_types import sliced

random = np.random.default_rng(3)
WEIGHTS = {
    "W": random.standard_normal((4, 3, 3, 3)).astype(np.float32),
    "H": random.standard_normal((4, 2)).astype(np.float32),
    "SHAPE": np.array([1, 4]),
    "GRID": np.array([2, 3]),
    "BATCH": np.array([0]),
}
BODY = "f = Conv<pads = [1, 1, 1, 1]>(x, W) r = Relu(f) m = GlobalMaxPool(r)"
BODY += " s = Reshape(m, SHAPE) y = MatMul(s, H)"
SCALING = Scaling(1 / 255, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))


def file(
    body: str = BODY,
    image: str = "float[N, 3, 6, 6] x",
    outputs: str = "float[N, 2] y",
    opset: str = '"" : 17',
    **more: NDArray[Any],
) -> bytes:
    text = f"<ir_version: 8, opset_import: [{opset}]> net ({image}) => ({outputs}) {{ {body} }}"
    proto = onnx.parser.parse_model(text)
    for name, value in {**WEIGHTS, **more}.items():
        if re.search(rf"\b{name}\b", body):
            proto.graph.initializer.append(numpy_helper.from_array(value, name))
    return bytes(proto.SerializeToString())


def run(data: bytes, images: NDArray[Any], name: str = "image") -> list[NDArray[Any]]:
    session = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    return list(session.run(None, {name: images}))


def pictures(count: int, channels: int = 3) -> NDArray[np.uint8]:
    return np.random.default_rng(1).integers(0, 256, (count, channels, 6, 6), np.uint8)


def scaled(images: NDArray[np.uint8], scaling: Scaling = SCALING) -> NDArray[np.float32]:
    mean, std = (np.reshape(v, (-1, 1, 1)).astype("f4") for v in (scaling.mean, scaling.std))
    return ((images * np.float32(scaling.scale) - mean) / std).astype(np.float32)


def adapted(data: bytes, scaling: Scaling | None = SCALING, **options: Any) -> bytes:
    found = adapt(data, 2, scaling=scaling, **options)
    model = finished(found.model, {})
    check_answers(data, found, model, pictures(7), 2)
    return model


def softmax(logits: NDArray[Any]) -> NDArray[Any]:
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def check_contract(data: bytes) -> None:
    graph = onnx.load_model_from_string(data).graph
    assert [value.name for value in graph.input] == ["image"]
    assert [value.name for value in graph.output] == ["logits", "probabilities"]
    kind = graph.input[0].type.tensor_type
    assert kind.elem_type == onnx.TensorProto.UINT8
    assert kind.shape.dim[0].dim_param == "N"


# --- what is adapted --------------------------------------------------------------------------

FIXED = "float[1, 3, 6, 6] x"
GIVEN = {
    "floats": file(BODY.replace("s = Reshape(m, SHAPE)", "s = Flatten(m)")),
    "fixed batch": file(image=FIXED, outputs="float[1, 2] y"),
    "fixed batch, stored shape": file(
        BODY.replace(
            " s = Reshape(m, SHAPE)", " k = Constant<value = int64[2] {1, 4}>() s = Reshape(m, k)"
        ),
        image=FIXED,
        outputs="float[1, 2] y",
    ),
    "planes of one pixel": file(
        "f = Conv(x, W) r = GlobalAveragePool(f) y = Conv(r, P)",
        outputs="float[N, 2, 1, 1] y",
        P=WEIGHTS["H"].T[:, :, None, None].copy(),
    ),
    "names of the contract": file(
        '"image.float" = Conv(image, W) logits = GlobalMaxPool("image.float")'
        " probabilities = Flatten(logits) y = MatMul(probabilities, H)",
        image="float[N, 3, 6, 6] image",
    ),
}


@pytest.mark.parametrize("name", GIVEN)
def test_a_file_of_floats_gets_its_normalisation_and_any_batch(name: str) -> None:
    given = GIVEN[name]
    data = adapted(given)
    check_contract(data)
    source = onnx.load_model_from_string(given).graph.input[0].name
    images = pictures(5)
    logits, probabilities = run(data, images)
    expected = [run(given, scaled(images[i : i + 1]), source)[0].reshape(1, 2) for i in range(5)]
    np.testing.assert_allclose(logits, np.concatenate(expected), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(probabilities, softmax(logits), rtol=1e-5)


def test_channels_may_come_last() -> None:
    given = file(
        "t = Transpose<perm = [0, 3, 1, 2]>(x) f = Conv(t, W) m = GlobalMaxPool(f)"
        " s = Flatten(m) y = MatMul(s, H)",
        image="float[N, 6, 6, 3] x",
    )
    data = adapted(given)
    check_contract(data)
    images = pictures(3)
    expected = run(given, np.ascontiguousarray(scaled(images).transpose(0, 2, 3, 1)), "x")[0]
    np.testing.assert_allclose(run(data, images)[0], expected, rtol=1e-4, atol=1e-5)


def test_the_logits_are_found_in_front_of_a_softmax() -> None:
    """Also of one that is handed on, and of two outputs the one that is not softened is taken."""
    end = BODY.replace("s = Reshape(m, SHAPE)", "s = Flatten(m)").replace("y =", "l =")
    soft = file(f"{end} p = Softmax<axis = 1>(l) y = Identity(p)")
    both = file(f"{end} p = Softmax<axis = 1>(l)", outputs="float[N, 2] p, float[N, 2] l")
    images = pictures(4)
    logits = run(adapted(both), images)[0]
    assert np.array_equal(run(adapted(soft), images)[0], logits)
    np.testing.assert_allclose(run(soft, scaled(images), "x")[0], softmax(logits), rtol=1e-4)


def test_a_file_that_keeps_the_contract_stays_as_it_is() -> None:
    body = BODY.replace("x,", "v,").replace("s = Reshape(m, SHAPE)", "s = Flatten(m)")
    body = f"v = Cast<to = 1>(image) {body.replace('y =', 'logits =')}"
    given = file(
        f"{body} probabilities = Softmax<axis = 1>(logits)",
        image="uint8[N, 3, 6, 6] image",
        outputs="float[N, 2] logits, float[N, 2] probabilities",
    )
    found = adapt(given, 2)
    assert found.adaptations == ()
    operators = [node.op_type for node in onnx.load_model_from_string(given).graph.node]
    assert [node.op_type for node in found.model.graph.node] == operators


def test_a_file_that_takes_uint8_is_said_to_order_its_channels_itself() -> None:
    body = f"v = Cast<to = 1>(image) {BODY.replace('x,', 'v,')}"
    given = file(body, image="uint8[N, 3, 6, 6] image")
    said = Preprocessing(scaling=Scaling(1 / 255, bgr=True))
    notes = " ".join(adapt(given, 2, said=said).adaptations)
    assert "the order of channels, that are said beside it are left to the file" in notes


def test_an_open_size_is_named() -> None:
    given = file(
        BODY.replace("s = Reshape(m, SHAPE)", "s = Flatten(m)"), image="float[N, 3, S, S] x"
    )
    with pytest.raises(OnnxImportError, match="--size"):
        adapted(given)
    assert run(adapted(given, size=6), pictures(2))[0].shape == (2, 2)
    oblong = adapt(given, 2, scaling=SCALING, size=(6, 12))
    images = np.concatenate([pictures(2), pictures(2)], axis=3)
    assert run(finished(oblong.model, {}), images)[0].shape == (2, 2)


def test_notes_of_the_exporter_are_dropped() -> None:
    model = onnx.load_model_from_string(GIVEN["floats"])
    model.graph.node[0].doc_string = "/home/somebody/net.py"
    entry = model.graph.node[1].metadata_props.add()
    entry.key, entry.value = "trace", "/home/somebody/net.py"
    assert b"somebody" not in adapted(model.SerializeToString())


# --- what is refused --------------------------------------------------------------------------

END = BODY.replace("s = Reshape(m, SHAPE)", "s = Flatten(m)")
REFUSED = {
    "custom operator": (
        file("f = my.Conv(x, W) y = Flatten(f)", opset='"" : 17, "my" : 1'),
        "custom operator 'my.Conv'",
    ),
    "old": (file(END, opset='"" : 8'), "version 8 of ONNX's operators"),
    "two inputs": (file(f"{END}", image="float[N, 3, 6, 6] x, float[N] z"), "inputs 'x', 'z'"),
    "channels": (file(END, image="float[N, 2, 6, 8] x"), r"is \[\?, 2, 6, 8\]; images with 1"),
    "rank": (file("y = MatMul(x, H)", image="float[N, 4] x"), r"is \[\?, 4\]; \[N, C, H, W\]"),
    "integers": (
        file(f"v = Cast<to = 1>(x) {END.replace('x,', 'v,')}", image="int32[N, 3, 6, 6] x"),
        "is INT32",
    ),
    "two outputs": (
        file(f"{END} z = Neg(y)", outputs="float[N, 2] y, float[N, 2] z"),
        "--output names",
    ),
    "probabilities": (
        file(
            f"{END.replace('y =', 'l =')} e = Exp(l) t = ReduceSum<keepdims = 1>(e, ONE)"
            " y = Div(e, t)",
            ONE=np.array([1]),
        ),
        "in a way that leaves open",
    ),
    "batch mean": (
        file(f"{END.replace('y =', 'l =')} b = ReduceMean<axes = [0]>(l) y = Sub(l, b)"),
        "depends on the other images",
    ),
    "classes": (
        file(END, outputs="float[N, 5] y", H=random.standard_normal((4, 5)).astype(np.float32)),
        "has 5 numbers an image, and 2 classes are named",
    ),
    "undeclared classes": (
        file(END, outputs="float[N, K] y", H=random.standard_normal((4, 5)).astype(np.float32)),
        "has 5 numbers an image, and 2 classes are named",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_adapted_is_refused_in_a_sentence(name: str) -> None:
    data, sentence = REFUSED[name]
    with pytest.raises(ValueError, match=sentence) as refusal:
        adapted(data)
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).endswith(".")


def test_control_flow_is_refused() -> None:
    branch = onnx.parser.parse_graph("b () => (float[N, 2] z) { z = Identity(y) }")
    model = onnx.load_model_from_string(file(END))
    condition = numpy_helper.from_array(np.array(True), "c")
    model.graph.initializer.append(condition)
    branches = {"then_branch": branch, "else_branch": branch}
    model.graph.node.append(onnx.helper.make_node("If", ["c"], ["out"], **branches))
    model.graph.output[0].name = "out"
    with pytest.raises(OnnxImportError, match="control flow"):
        adapted(model.SerializeToString())


def test_nothing_is_assumed_about_grey_levels() -> None:
    with pytest.raises(OnnxImportError, match="--input-scale"):
        adapted(GIVEN["floats"], scaling=None)
    with pytest.raises(OnnxImportError, match="--mean has 2 numbers"):
        adapted(GIVEN["floats"], scaling=Scaling(1.0, (0.1, 0.2)))
    given = file(f"v = Cast<to = 1>(x) {END.replace('x,', 'v,')}", image="uint8[N, 3, 6, 6] x")
    check_contract(adapted(given, scaling=None))
    with pytest.raises(OnnxImportError, match="is uint8"):
        adapted(given)


def test_an_adapted_file_that_answers_otherwise_is_refused() -> None:
    """The comparison itself: with another scale than the one in the graph it has to fail."""
    given = GIVEN["floats"]
    found = adapt(given, 2, scaling=SCALING)
    other = Scaling(1 / 200, SCALING.mean, SCALING.std)
    with pytest.raises(OnnxImportError, match="differ from the given"):
        check_answers(
            given, replace(found, scaling=other), finished(found.model, {}), pictures(7), 2
        )


def test_files_are_compared_in_batches_that_were_tried() -> None:
    """Of 7 images this one picks an entry that is not there; of 1, 2 and 4 it does not."""
    body = BODY.replace("s = Reshape(m, SHAPE) y = MatMul(s, H)", "s = Flatten(m) z = MatMul(s, H)")
    given = file(
        body + " a = Shape(x) n = Gather(a, BATCH) e = Equal(n, SEVEN) i = Cast<to = 7>(e)"
        " one = Gather(ONE, i) y = Mul(z, one)",
        SEVEN=np.array([7]),
        ONE=np.ones(1, np.float32),
    )
    with pytest.raises(Exception, match="out of data bounds"):
        run(given, scaled(pictures(7)), "x")
    check_contract(adapted(given))


# --- options and size -------------------------------------------------------------------------


def test_options_are_read_from_text(tmp_path: Any) -> None:
    (tmp_path / "names.txt").write_text("cat\ndog\n\n")
    assert read_classes("a, b,c") == (("a", "b", "c"), ())
    assert read_classes(str(tmp_path / "names.txt")) == (("cat", "dog"), ())
    assert read_scaling("1/255", "0.5,1/4", "1") == Scaling(1 / 255, (0.5, 0.25))
    assert read_scaling("1/127.5", "1", "0.5 / 2") == Scaling(1 / 127.5, (1.0,), (0.25,))
    assert read_scaling("1", "123.7,116.3,103.5", "58")
    assert read_scaling("-1/255", "-1", "1")  # of negatives
    with pytest.raises(OnnxImportError, match=r"levels of 0 to 1, and --mean has 123.7; a mean of"):
        read_scaling("1/255", "123.7,116.3,103.5", "58.4")
    assert read_scaling(None, "0", "1") is None
    refused = [
        ("1e999", "0", "1"),
        ("1/2/3", "0", "1"),
        ("x", "0", "1"),
        ("1", "0", "1/0"),
        ("1/", "0", "1"),
    ]
    for arguments in [*refused, (None, "1", "1"), ("0", "0", "1")]:
        with pytest.raises(OnnxImportError):
            read_scaling(*arguments)
    with pytest.raises(OnnxImportError, match="neither names"):
        read_classes("nobody.txt")


def test_products_are_counted_for_one_image() -> None:
    found = adapt(GIVEN["floats"], 2, scaling=SCALING)
    size = network_size(found.model)
    assert size.multiply_adds == 6 * 6 * 4 * 27 + 4 * 2
    assert size.free_parameters is None
    assert size.baked_parameters == 4 * 27 + 4 * 2 + 1 + 3 + 3


@pytest.mark.parametrize("squash", ["", " z = Identity(v) y = Sigmoid(z)"])
def test_how_many_numbers_an_image_has_is_read_from_the_nodes_too(squash: str) -> None:
    """Many exporters leave the last axis open, and one number is another class's than none."""
    body = BODY.replace("y = MatMul", "v = MatMul" if squash else "y = MatMul") + squash
    one = {"H": random.standard_normal((4, 1)).astype(np.float32)}
    data = file(body, "float[1, 3, 6, 6] x", outputs="float[N, M] y", **one)
    if not squash:
        with pytest.raises(OnnxImportError, match="--output-kind says whether it is the logit"):
            adapted(data)
    check_contract(adapted(data, **({} if squash else {"output_kind": "logits"})))
    three = file(
        image="float[1, 3, 6, 6] x",
        outputs="float[N, M] y",
        H=random.standard_normal((4, 3)).astype(np.float32),
    )
    with pytest.raises(OnnxImportError, match="has 3 numbers an image, and 2 classes are named"):
        adapted(three)


def test_an_answer_without_an_axis_of_images_is_told_as_that() -> None:
    body = BODY.replace("y = MatMul(s, H)", "z = MatMul(s, H) y = Squeeze(z, BATCH)")
    data = file(body, image="float[1, 3, 6, 6] x", outputs="float[2] y")
    with pytest.raises(OnnxImportError, match=r"has the shape \[2\], without an axis for the"):
        adapted(data)


def test_channels_that_may_be_first_or_last_are_not_guessed() -> None:
    """The picture is 3 pixels high, and its first convolution reads it turned round."""
    turned = "t = Transpose<perm = [0, 3, 1, 2]>(x) " + BODY.replace("(x, W)", "(t, W)")
    with pytest.raises(OnnxImportError, match="channels may be first or last"):
        adapt(file(turned, "float[N, 3, 8, 3] x"), 2, scaling=SCALING)
    plain = adapt(file(image="float[N, 3, 8, 3] x"), 2, scaling=SCALING)
    assert (plain.size, plain.nhwc) == ((8, 3), False)


def test_functions_that_stand_for_too_many_nodes_are_refused_before_they_are_written_out() -> None:
    head = '<domain: "own", opset_import: ["" : 17, "own" : 1]>'
    functions = [f"{head} F0 (a) => (b) {{ b = Relu(a) }}"]
    for level in range(1, 40):
        calls = f"c = own.F{level - 1}(a) b = own.F{level - 1}(c)"
        functions.append(f"{head} F{level} (a) => (b) {{ {calls} }}")
    text = """<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
        net (float[N, 3, 6, 6] x) => (float[N, 3, 6, 6] y) { y = own.F39(x) }"""
    model = onnx.parser.parse_model("\n".join([text, *functions]))
    with pytest.raises(RefusedError, match="nodes when its functions are written out"):
        adapt(model.SerializeToString(), 2, scaling=SCALING)


def test_a_function_keeps_the_defaults_of_its_attributes() -> None:
    """ONNX's inliner loses them."""
    text = f"""<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
        net (float[N, 3, 6, 6] x) => (float[N, 2] y) {{ z = own.F(x) {BODY.replace("(x", "(z")} }}
        <domain: "own", opset_import: ["" : 17]> F <by: float = 0.5> (a) => (b) {{
            b = LeakyRelu<alpha: float = @by>(a) }}"""
    model = onnx.parser.parse_model(text)
    for name, value in WEIGHTS.items():
        model.graph.initializer.append(numpy_helper.from_array(value, name))
    data = model.SerializeToString()
    adapted = adapt(data, 2, scaling=SCALING)
    check_answers(data, adapted, finished(adapted.model, {}), pictures(1), 2)


def test_a_constant_without_a_value_is_left_to_the_runtime() -> None:
    data = file(BODY.replace("y = MatMul", "c = Constant() y = MatMul"))
    assert adapt(data, 2, scaling=SCALING).found is not None


def test_a_text_where_a_number_is_due_is_a_sentence() -> None:
    body = BODY.replace("y = MatMul", "b = MatMul") + " y = Mul(b, T)"
    found = adapt(file(body, T=np.array(["one"], object)), 2, scaling=SCALING)
    with pytest.raises(OnnxImportError, match="does not fit together"):
        finished(found.model, {})


def test_shapes_that_end_the_process_that_infers_them_are_a_sentence() -> None:
    model = sliced(1, in_a_branch=False)
    model.graph.node.append(onnx.helper.make_node("Flatten", ["part"], ["y"]))
    answer = onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, ["N", "K"])
    model.graph.output[0].CopyFrom(answer)
    for asks in (lambda: adapt(model.SerializeToString(), 2), lambda: network_size(model)):
        with pytest.raises(RefusedError, match="a Slice reads what a window gives"):
            asks()
    with pytest.raises(RefusedError, match="a Slice reads what a window gives"):
        finished(model, {})
