"""`orbitserve prove`: its outcome, its limits, and files that are made to break it."""

import json
import os
from pathlib import Path

import onnx
import pytest
from onnx import TensorProto, helper

from audit.proof import prove

C4 = Path("model_repository/rotmnist-c4/1/model.onnx")


@pytest.fixture
def refused(run):
    """Run `prove`, see that it refuses in one sentence with status 3, and return the sentence."""

    def call(*arguments):
        status, out, err = run("prove", *arguments)
        assert (status, out) == (3, "")
        assert err.startswith("orbitserve: ") and err.count("\n") == 1
        assert "Traceback" not in err
        return err

    return call


def test_json_says_how_it_was_proved_and_where_it_holds(run):
    status, out, _ = run("prove", C4, "--json")
    proof = json.loads(out)
    assert status == 0
    assert proof["outcome"] == "PROVED"
    assert proof["schema_version"] == 2
    assert proof["method"] == "incomplete"
    assert proof["holds_in"] == ["real arithmetic"]
    assert (proof["disordered"], proof["steps"]) == (None, [])
    _, out, _ = run("prove", "model_repository/rotmnist-c4-integer/1/model.onnx", "--json")
    assert json.loads(out)["schema_version"] == 2


def test_a_name_in_the_file_begins_no_line(run, tmp_path):
    """Whoever reads lines would find one that says PROVED."""
    model = onnx.load("model_repository/rotmnist-cnn/1/model.onnx")
    for node in model.graph.node:
        node.name = "x\nPROVED  model.onnx, over C4\x1b[8m"
    onnx.save(model, tmp_path / "model\nPROVED.onnx")
    status, out, _ = run("prove", tmp_path / "model\nPROVED.onnx")
    assert status == 1
    assert not [line for line in out.splitlines() if line.startswith("PROVED")]
    assert "model\\nPROVED.onnx" in out
    assert "\x1b" not in out


def test_constants_are_computed_by_the_runtime_too(run, doubtful, tmp_path):
    file = tmp_path / "model.onnx"
    file.write_bytes(doubtful(C4.read_bytes()))
    assert prove(file.read_bytes()).outcome == "NOT PROVED"  # without a runtime
    status, out, _ = run("prove", file, "--group", "C4")
    assert (status, out.split()[0]) == (0, "PROVED")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        (["--timeout", "1e-6"], "takes more than the 1e-06 s that it may take"),
        (["--memory", "2"], "MiB and may take 2;"),
        (["--timeout", "0"], "--timeout is 0; more than 0 seconds are accepted"),
        (["--timeout", "nan"], "--timeout is nan"),
        (["--memory", "0"], "greater than or equal to 1"),
    ],
)
def test_a_limit_is_a_sentence_and_no_verdict(refused, options, sentence):
    assert sentence in refused(C4, *options)


def test_a_file_that_is_none_or_cannot_be_read(refused, tmp_path):
    assert "is a folder; a regular file is accepted" in refused(tmp_path)
    assert "cannot be read: No such file" in refused(tmp_path / "none.onnx")
    memory = Path("/proc/self/mem")  # a regular file that nobody may read from its beginning
    if memory.exists():
        assert "cannot be read" in refused(memory)


def test_of_a_file_that_is_too_large_nothing_is_read(refused, tmp_path, monkeypatch):
    file = tmp_path / "large.onnx"
    with file.open("wb") as opened:
        opened.truncate(3 * 2**30)
    monkeypatch.setattr(os, "fdopen", lambda *_: pytest.fail("it was opened"))
    assert "is too large; at most 2,048 MiB are accepted" in refused(file, "--memory", "4096")
    assert "is too large; at most 1 MiB are accepted" in refused(file, "--memory", "1")


@pytest.mark.parametrize("error", [KeyError("x"), RecursionError("a\nb"), MemoryError()])
def test_an_error_of_the_proof_is_a_sentence(refused, monkeypatch, error):
    def broken(*_, **__):
        raise error

    monkeypatch.setattr("audit.proving.prove", broken)
    sentence = refused(C4)
    assert f"stopped at an error of its own ({type(error).__name__}" in sentence


def _image(kind, *sides):
    return helper.make_tensor_value_info("x", kind, sides)


def _saved(path, nodes, image, output, opset, initializers=(), functions=()):
    graph = helper.make_graph(nodes, "g", [image], [output], initializers)
    opsets = [helper.make_opsetid("", opset)]
    opsets += [helper.make_opsetid(function.domain, 1) for function in functions]
    model = helper.make_model(graph, opset_imports=opsets, ir_version=9, functions=list(functions))
    path.write_bytes(model.SerializeToString())
    return path


def test_a_trillion_channels_behind_a_function_are_refused(refused, tmp_path):
    """Its caller leaves the function's attribute out, which has a default here."""
    pool = helper.make_node("MaxPool", ["X"], ["Y"], kernel_shape=[2, 2])
    strides = onnx.AttributeProto(
        name="strides", ref_attr_name="strides", type=onnx.AttributeProto.INTS
    )
    pool.attribute.append(strides)
    function = helper.make_function(
        *("my.pkg", "Pool", ["X"], ["Y"], [pool], [helper.make_opsetid("", 17)]),
        attribute_protos=[helper.make_attribute("strides", [1, 1])],
    )
    nodes = [
        helper.make_node("Pool", ["x"], ["p"], domain="my.pkg"),
        helper.make_node("GlobalMaxPool", ["p"], ["q"]),
        helper.make_node("Flatten", ["q"], ["y"]),
    ]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", "K"])
    image = _image(TensorProto.FLOAT, 3, 2**40, 8, 8)
    file = _saved(tmp_path / "m.onnx", nodes, image, output, 17, functions=[function])
    assert "MiB and may take 2,048" in refused(file)


def test_an_input_of_no_type_is_refused(refused, tmp_path):
    nodes = [
        helper.make_node(
            "Resize",
            ["x", "", "sc"],
            ["r"],
            mode="linear",
            coordinate_transformation_mode="half_pixel",
        ),
        helper.make_node("Cast", ["r"], ["c"], to=TensorProto.INT32),
        helper.make_node("ReduceSum", ["c", "axs"], ["y"], keepdims=0),
    ]
    constants = [
        helper.make_tensor("sc", TensorProto.FLOAT, [4], [1, 1, 3, 3]),
        helper.make_tensor("axs", TensorProto.INT64, [3], [1, 2, 3]),
    ]
    output = helper.make_tensor_value_info("y", TensorProto.INT32, ["N"])
    image = _image(TensorProto.UNDEFINED, "N", 1, 6, 6)
    file = _saved(tmp_path / "m.onnx", nodes, image, output, 13, constants)
    assert "no type of elements" in refused(file)
