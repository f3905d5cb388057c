"""A file that is not ONNX, not whole, or not ONNX alone is refused in a sentence."""

import gzip
import io
import pickle
import platform
import signal
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from artifact.onnx_file import (
    check_operators,
    read_onnx,
    redefines,
    refuse_other_formats,
)
from artifact.session import run_as_written
from audit.proof import prove

ROOT = Path(__file__).parents[2]
SHIPPED = ("rotmnist-c4", "rotmnist-c4-int8", "rotmnist-cnn")


@cache
def shipped(name: str) -> bytes:
    return (ROOT / "model_repository" / name / "1" / "model.onnx").read_bytes()


@cache
def structure(name: str) -> tuple[int, ...]:
    """Where a shipped file is not a weight: every kind of field has a few of these bytes."""
    data, places, start = shipped(name), list[int](), 0
    for tensor in onnx.load_model_from_string(data).graph.initializer:
        if len(tensor.raw_data) > 64:
            found = data.index(tensor.raw_data, start)
            places += range(start, found)
            start = found + len(tensor.raw_data)
    return (*places, *range(start, len(data)))


def check(data: bytes) -> onnx.ModelProto:
    model = read_onnx(data)
    check_operators(model)
    return model


def parse(text: str) -> onnx.ModelProto:
    return onnx.parser.parse_model(text)


def sentence(data: bytes) -> str:
    """What the file is refused with: one sentence that says what is accepted."""
    with pytest.raises(ValueError, match=r"accepted\.$|^This is no valid ONNX file: ") as refused:
        check(data)
    text = str(refused.value)
    assert "\n" not in text
    assert len(text) < 500
    assert text.endswith(".")
    return text


SMALL = """
    <ir_version: 9, opset_import: ["" : 18]>
    small (float[N, 2] x) => (float[N, 2] y) <float[2] w = {1, 2}> { y = Mul(x, w) }
"""


def small() -> onnx.ModelProto:
    return parse(SMALL)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_shipped_files_are_accepted(name: str) -> None:
    assert check(shipped(name)).SerializeToString() == shipped(name)


# --- other kinds of files ---------------------------------------------------------------------


def zipped(data: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("model.onnx", data)
    return file.getvalue()


def tarred(data: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        info = tarfile.TarInfo("model.onnx")
        info.size = len(data)
        archive.addfile(info, io.BytesIO(data))
    return file.getvalue()


def saved(write: Callable[[io.BytesIO, Any], None]) -> bytes:
    file = io.BytesIO()
    write(file, np.ones(3))
    return file.getvalue()


OTHERS = {
    "empty;": b"",
    "a zip archive": zipped(SMALL.encode()),
    "an empty zip": zipped(b"")[-22:],
    "a gzip archive": gzip.compress(SMALL.encode()),
    "a tar archive": tarred(SMALL.encode()),
    "a pickle": pickle.dumps({"state": [1.0]}),
    "an HDF5 file": b"\x89HDF\r\n\x1a\n" + bytes(64),
    "an array of numpy": saved(np.save),
    "such as PyTorch, Keras and numpy": saved(np.savez),
    "HTML": b"\n<!DOCTYPE html><html><body>404</body></html>",
    "HTML or XML": b'\xef\xbb\xbf<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>',
    "a git-lfs pointer": (
        b"version https://git-lfs.github.com/spec/v1\n"
        b"oid sha256:4d7a214614ab2935c943f9e0ff69d22eadbb8f32b1258daaa5e2ca24d17e2393\nsize 12345\n"
    ),
    "a safetensors file": (40).to_bytes(8, "little") + b'{"w":{"dtype":"F32","shape":[1]}}       ',
    "TensorFlow Lite": b"\x1c\x00\x00\x00TFL3" + bytes(32),
    "onnxruntime's own format": b"\x1c\x00\x00\x00ORTM" + bytes(32),
    "no ONNX file": b"weights: 1, 2, 3",
    "no graph": onnx.ModelProto(ir_version=9).SerializeToString(),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_a_file_of_another_kind_is_called_by_its_name(kind: str) -> None:
    assert kind in sentence(OTHERS[kind])


def test_a_safetensors_file_as_its_package_writes_it() -> None:
    safetensors = pytest.importorskip("safetensors.numpy")
    assert "a safetensors file" in sentence(safetensors.save({"w": np.ones(3, np.float32)}))


def test_a_network_as_torch_saves_it() -> None:
    torch = pytest.importorskip("torch")
    for new, kind in ((True, "a zip archive"), (False, "a pickle")):
        file = io.BytesIO()
        torch.save({"w": torch.ones(2)}, file, _use_new_zipfile_serialization=new)
        assert kind in sentence(file.getvalue())


def test_a_file_that_is_onnx_to_us_and_another_format_to_the_runtime() -> None:
    """onnxruntime looks at the bytes 4 to 8 first, and here they are in the producer's name."""
    data = b"\x12\x0a" + b"xxORTMaaaa" + small().SerializeToString()
    assert onnx.load_model_from_string(data).producer_name == "xxORTMaaaa"
    onnx.checker.check_model(onnx.load_model_from_string(data))
    with pytest.raises(Exception, match="ORT model verification failed"):
        onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"])
    assert "onnxruntime's own format" in sentence(data)


def test_formats_are_told_without_parsing() -> None:
    for kind in ("a zip archive", "HTML", "a git-lfs pointer"):
        with pytest.raises(ValueError, match=kind):
            refuse_other_formats(OTHERS[kind])
    refuse_other_formats(shipped("rotmnist-c4"))


# --- files that are cut off or changed --------------------------------------------------------


@pytest.mark.slow
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_a_truncated_file_is_refused_or_is_whole_without_its_end(data: st.DataObject) -> None:
    """What follows the operators' version are metadata alone; the digest covers these."""
    name = data.draw(st.sampled_from(SHIPPED))
    whole = shipped(name)
    end = data.draw(st.one_of(st.sampled_from(structure(name)), st.integers(0, len(whole) - 1)))
    try:
        found = check(whole[:end])
    except ValueError:
        assert "\n" not in sentence(whole[:end])
    else:
        assert found.graph == onnx.load_model_from_string(whole).graph


def test_a_cut_in_the_weights_is_called_a_cut() -> None:
    whole = shipped("rotmnist-cnn")
    for part in (0.1, 0.5, 0.9):
        assert "The file is cut off" in sentence(whole[: int(part * len(whole))])


@pytest.mark.slow
@given(st.data())
@settings(max_examples=60, deadline=None)
def test_flipped_bits_never_crash(data: st.DataObject) -> None:
    name = data.draw(st.sampled_from(SHIPPED))
    changed = bytearray(shipped(name))
    places = st.one_of(st.sampled_from(structure(name)), st.integers(0, len(changed) - 1))
    for place in data.draw(st.lists(places, min_size=1, max_size=6)):
        changed[place] ^= 1 << data.draw(st.integers(0, 7))
    try:
        check(bytes(changed))
    except ValueError:
        sentence(bytes(changed))


def test_a_name_that_is_no_text_is_refused() -> None:
    changed = small().SerializeToString().replace(b"Mul", b"M\xffl")
    assert "b'M\\xffl' in the field op_type" in sentence(changed)


# --- tensors outside of the file, and tensors that are not what they say ----------------------


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
        (sized([2**40] * 3000, 8), "[1099511627776, 1099511627776, "),
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


# --- operators --------------------------------------------------------------------------------


def test_a_custom_operator_is_named() -> None:
    model = parse(SMALL.replace('["" : 18]', '["" : 18, "com.microsoft" : 1]'))
    check(model.SerializeToString())  # what is imported and not used does no harm
    model.graph.node[0].op_type, model.graph.node[0].domain = "BiasGelu", "com.microsoft"
    refused = sentence(model.SerializeToString())
    assert "The node 'y' is the custom operator 'com.microsoft.BiasGelu'" in refused
    assert "from before onnxruntime optimised it" in refused
    model.opset_import.append(helper.make_opsetid("mine", 1))
    model.graph.node[0].domain = "mine"
    assert "operators of ONNX's own domain are accepted" in sentence(model.SerializeToString())
    model.graph.node[0].domain = "com.microsoft"
    read_onnx(model.SerializeToString())  # the proof says NOT PROVED to it


def test_a_custom_operator_in_a_subgraph_is_named() -> None:
    model = small()
    model.opset_import.append(helper.make_opsetid("mine", 1))
    read = helper.make_node("Read", [], ["r"], domain="mine")
    output = helper.make_tensor_value_info("r", TensorProto.FLOAT, [2])
    inner = helper.make_graph([read], "inner", [], [output])
    condition = numpy_helper.from_array(np.array(True), "condition")
    model.graph.initializer.append(condition)
    node = helper.make_node("If", ["condition"], ["z"], then_branch=inner, else_branch=inner)
    model.graph.node.append(node)
    assert "'mine.Read'" in sentence(model.SerializeToString())


def test_both_names_of_the_domain_of_onnx_are_accepted() -> None:
    model = small()
    model.opset_import[0].domain = "ai.onnx"
    check(model.SerializeToString())
    model.graph.node[0].domain = "ai.onnx"
    check_operators(model)


@pytest.mark.parametrize("version", [0, 999])
def test_versions_of_the_operators_that_there_are_not_are_refused(version: int) -> None:
    model = small()
    model.opset_import[0].version = version
    with pytest.raises(ValueError, match=f"version {version} of ONNX's operators; versions 1 to"):
        check_operators(model)


@pytest.mark.parametrize("domain", ["", "ai.onnx"])
def test_one_version_of_the_operators_is_accepted(domain: str) -> None:
    model = small()
    model.opset_import.append(helper.make_opsetid(domain, 7))
    assert "several versions of ONNX's operators (18, 7)" in sentence(model.SerializeToString())


def with_function(domain: str, operator: str) -> onnx.ModelProto:
    """Return a network whose only node calls a function that negates."""
    return parse(f"""
        <ir_version: 9, opset_import: ["" : 18, "{domain or "unused"}" : 1]>
        network (float[2] x) => (float[2] y) {{ y = {domain and domain + "."}{operator}(x) }}
        <domain: "{domain}", opset_import: ["" : 18]>
        {operator} (x) => (y) {{ y = Neg(x) }}
    """)


@pytest.mark.parametrize("domain", ["", "ai.onnx", "com.microsoft", "local"])
def test_functions_of_the_files_own_are_refused(domain: str) -> None:
    with pytest.raises(ValueError, match=r"by a function of its own; .* accepted\.$"):
        check_operators(with_function(domain, "Gelu"))


def test_a_function_that_the_runtime_overrules_is_not_proved() -> None:
    """The file says that `Gelu` negates, and onnxruntime computes its own."""
    model = with_function("com.microsoft", "Gelu")
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    (y,) = session.run(None, {"x": np.array([-1, 2], np.float32)})
    assert not np.array_equal(y, [1, -2])
    assert redefines(model)
    proof = prove(model.SerializeToString())
    assert "gives operators that runtimes have a meaning of its own" in proof.reasons[0]


def test_the_domains_of_the_runtime_are_known() -> None:
    state = onnxruntime.capi.onnxruntime_pybind11_state
    domains = {schema.domain for schema in state.get_all_operator_schema()}
    assert "com.microsoft" in domains
    assert all(redefines(with_function(domain, "Gelu")) for domain in domains)
    assert not redefines(with_function("local", "Gelu"))


def dividing(kind: str, divisor: str, *, operator: str = "Div") -> onnx.ModelProto:
    """Return a network that divides the image, as `kind`, by what a line of the graph computes."""
    number = getattr(TensorProto, kind.upper())
    return parse(f"""
        <ir_version: 9, opset_import: ["" : 18]>
        network (uint8[N, 1, 4, 4] image) => ({kind}[N, 1, 4, 4] y)
        <{kind} two = {{2}}, {kind} minus = {{-1}}, int64 first = {{0}}> {{
            x = Cast<to = {number}>(image)
            shape = Shape(image)
            side = Gather(shape, first)
            sides = Cast<to = {number}>(side)
            same = Identity(minus)
            {divisor}
            y = {operator}(x, d)
        }}
    """)


@pytest.mark.parametrize("operator", ["Div", "Mod"])
@pytest.mark.parametrize("kind", ["int32", "int64"])
@pytest.mark.parametrize(
    "divisor", ["d = Identity(minus)", "d = Neg(x)", "d = Max(x, two)", "d = Add(same, two)"]
)
def test_divisions_that_may_end_the_process_are_refused(
    operator: str, kind: str, divisor: str
) -> None:
    with pytest.raises(ValueError, match="the least integer divided by -1 ends the process"):
        check_operators(dividing(kind, divisor, operator=operator))


@pytest.mark.parametrize("kind", ["int8", "int16", "float", "double"])
def test_of_other_types_nothing_traps(kind: str) -> None:
    check_operators(dividing(kind, "d = Neg(x)"))


@pytest.mark.parametrize("kind", ["int32", "int64", "float"])
@pytest.mark.parametrize("divisor", ["d = Identity(two)", "d = Identity(sides)"])
def test_constants_and_sides_divide(kind: str, divisor: str) -> None:
    check_operators(dividing(kind, divisor))


def test_a_division_inside_of_a_branch_is_found() -> None:
    model = parse("""
        <ir_version: 9, opset_import: ["" : 18]>
        network (int32[N] image, bool c) => (int32[N] y) {
            y = If (c) <
                then_branch = inner () => (int32[N] a) { a = Div(image, image) },
                else_branch = other () => (int32[N] b) { b = Identity(image) }
            >
        }
    """)
    with pytest.raises(ValueError, match="ends the process"):
        check_operators(model)


@pytest.mark.parametrize("operator", ["Div", "Mod"])
def test_the_processor_traps_and_the_proof_does_not_ask_for_it(operator: str) -> None:
    """The trap is real: without it there would be nothing to refuse. The proof folds constants."""
    model = parse(f"""
        <ir_version: 9, opset_import: ["" : 18]>
        network (int32[N, 1, 4, 4] image) => (int32[N, 1, 4, 4] y)
        <int32[1] least = {{-2147483648}}, int32[1] minus = {{-1}}> {{
            c = {operator}(least, minus)
            y = Add(image, c)
        }}
    """)
    data = model.SerializeToString()
    program = (
        "import sys, onnxruntime\n"
        "data = sys.stdin.buffer.read()\n"
        "onnxruntime.InferenceSession(data, providers=['CPUExecutionProvider'])\n"
    )
    died = subprocess.run([sys.executable, "-c", program], input=data, capture_output=True)
    if platform.machine() == "x86_64":
        assert died.returncode == -signal.SIGFPE
    assert prove(data, "C4", runtime=run_as_written).outcome == "NOT PROVED"


def test_a_split_that_leaves_out_a_part_is_refused() -> None:
    """It ended the process of onnxruntime, and of a proof that computed such constants."""
    split = helper.make_node("Split", ["x"], ["p", "", "q"], axis=1, split=[1, 1, 1])
    sides = [helper.make_tensor_value_info(name, 1, None) for name in "xpq"]
    graph = helper.make_graph([split], "g", sides[:1], sides[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 11)])
    with pytest.raises(ValueError, match=r"The node 'p' \(Split\) leaves out one of its outputs"):
        read_onnx(model.SerializeToString())
