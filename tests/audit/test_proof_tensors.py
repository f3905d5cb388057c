"""Equal numbers are equal values, in every tensor: rules held against what onnxruntime computes."""

import dataclasses
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import helper, numpy_helper

from artifact.onnx_file import read_onnx
from audit.proof import operators
from audit.proof.file.graph import read_graph
from audit.proof.file.node import Unsupported
from audit.proof.findings import PropagationOptions
from audit.proof.limits import DEFAULT_LIMITS
from audit.proof.operators import OPERATORS
from audit.proof.propagation import propagate
from audit.proof.values.context import Tracked
from imaging import GridSymmetry
from tests.audit.fuzz.judge import run_alone, same_bits
from tests.audit.fuzz.traps import draw_trap
from tests.audit.operator_graphs import BODIES, CHANNELS, SIZE, graph_of
from tests.audit.test_proof_cases import claims, parse

pytestmark = pytest.mark.filterwarnings("ignore")

Array = NDArray[Any]
SAME = 'kernel_shape = [1, 1], strides = [5, 5], auto_pad = "SAME_UPPER"'
_RAMP = np.arange(64, dtype=np.float32).reshape(8, 8)
_WEIGHT = "m = Mul(RAMP, w) z = Mul(x, m) y = ReduceMax<axes = [1, 2, 3], keepdims = 0>(z)"


def contradiction(data: bytes) -> str:
    """Say which tensor has entries of equal numbers and other values, or is another constant.

    Nothing if none has.
    """
    try:
        graph = read_graph(read_onnx(data))
    except (Unsupported, ValueError):
        return ""
    turn = GridSymmetry(False, 1)
    options = PropagationOptions(turn, 0.0, (0.0, 1.0), run_alone, explaining=True)
    found = propagate(graph, options, DEFAULT_LIMITS.begin())
    tensors = {name: t for name, t in found.tensors.items() if isinstance(t, Tracked)}
    image = np.random.default_rng(0).random(graph.image.shape)
    image = image if graph.image.dtype.kind == "f" else np.floor(100 * image)
    images = np.stack([image, turn(image)]).astype(graph.image.dtype)
    values = _run(data, images, [name for name in tensors if name != graph.image.name])
    known: dict[int, float] = {}
    for name, value in values.items():
        numbers = tensors[name].numbers
        entries = np.moveaxis(value, tensors[name].batch_axis, 0).astype(np.float64)
        if entries.shape != numbers.shape:
            return f"{name} has the shape {entries.shape} and not {numbers.shape}"
        for number, entry in zip(numbers.ravel().tolist(), entries.ravel().tolist(), strict=True):
            other = known.setdefault(number, entry)
            if abs(other - entry) > 1e-3 * (1 + abs(other)):
                return f"{name} has {entry} where {other} was"
    made = {name: v for name, v in found.constants.items() if name in found.producers}
    stored = {name: v for name, v in made.items() if isinstance(v, np.ndarray)}
    for name, value in _run(data, images, list(stored)).items():
        if not same_bits(stored[name], np.asarray(value)):
            return f"{name} is {value} and not {stored[name]}"
    return ""


def _run(data: bytes, images: Array, names: list[str]) -> dict[str, Array]:
    """Return tensors as onnxruntime computes them; none if it does not run the file."""
    model = onnx.load_model_from_string(data)
    del model.graph.output[:]
    model.graph.output.extend(onnx.ValueInfoProto(name=name) for name in names)
    options = onnxruntime.SessionOptions()
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(
            model.SerializeToString(), options, providers=["CPUExecutionProvider"]
        )
        return dict(zip(names, session.run(None, {model.graph.input[0].name: images}), strict=True))
    except Exception:  # onnxruntime's exceptions share no base class of their own
        return {}


def of_corners(data: bytes, seed: int = 0) -> bytes:
    """Fill the image with entries of its corners, so that few numbers stand in many places."""
    model = onnx.load_model_from_string(data)
    image = model.graph.input[0]
    shape = [axis.dim_value for axis in image.type.tensor_type.shape.dim][1:]
    places = np.arange(np.prod(shape)).reshape(shape)
    corners = places[:, [0, 0, -1, -1], [0, -1, 0, -1]].ravel()
    drawn = np.random.default_rng(seed).choice(corners, places.size)
    for node in model.graph.node:
        node.input[:] = ["filled" if name == image.name else name for name in node.input]
    given = {"places drawn": drawn, "image's shape": np.array([-1, *shape])}
    model.graph.initializer.extend(numpy_helper.from_array(v, name) for name, v in given.items())
    nodes = [
        helper.make_node("Flatten", [image.name], ["flat"]),
        helper.make_node("Gather", ["flat", "places drawn"], ["drawn"], axis=1),
        helper.make_node("Reshape", ["drawn", "image's shape"], ["filled"]),
        *model.graph.node,
    ]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("op", BODIES)
def test_every_operator_gives_equal_numbers_equal_values(op: str) -> None:
    data = graph_of(op)
    assert _run(data, np.zeros((2, CHANNELS, SIZE, SIZE), np.uint8), ["y"])
    assert not contradiction(data)
    assert not contradiction(of_corners(data))


@pytest.mark.parametrize(
    "body",
    [
        *(f"y = {op}<{SAME}>(x)" for op in ("AveragePool", "LpPool", "MaxPool")),
        'y = Conv<strides = [5, 5], auto_pad = "SAME_LOWER">(x, FILTER)',
        *(f"y = Slice(x, ONE, {end}, TWO, BACK)" for end in ("LARGEST", "LONG", "SIDE")),
        *(f"y = Reduce{op}<axes = [1], keepdims = 2>(x)" for op in ("L2", "Max", "Mean")),
        *(f"y = Arg{op}<axis = 1, keepdims = 2>(x)" for op in ("Max", "Min")),
    ],
)
def test_odd_attributes_do_too(body: str) -> None:
    ends = {"LARGEST": 2**63 - 1, "LONG": 2**31 - 1, "SIDE": 10, "BACK": -1, "TWO": 2}
    constants: dict[str, Any] = {name: np.array([end]) for name, end in ends.items()}
    filters = np.ones((2, 1, 1, 2), np.float32)
    data = parse(body, "float[N,1,10,10] x", "float[a,b,c,d] y", FILTER=filters, **constants)
    assert not contradiction(of_corners(data))


@pytest.mark.parametrize(
    "made",
    [
        "DequantizeLinear(INTEGERS, HALF)",  # beyond 2^11, which half precision holds
        "Cast<to = 22>(TENTHS)",  # int4, to which onnxruntime rounds what the standard truncates
        "Cast<to = 21>(TENTHS)",
    ],
)
def test_constants_do_too(made: str) -> None:
    body = f"c = {made} v = Cast<to = 1>(c) m = Mul(x, v) r = Relu(m) y = Identity(r)"
    drawn = np.random.default_rng(0)
    given: dict[str, Any] = {
        "INTEGERS": drawn.choice([2048, 2049, 2051, 70_000, 80_000], (1, 1, 6, 6)).astype(np.int32),
        "HALF": np.float16(0.1),
        "TENTHS": drawn.choice([1.2, 1.5, 1.8, 2.5], (1, 1, 6, 6)).astype(np.float32),
    }
    data = parse(body, "float[N,1,6,6] x", "float[a,b,c,d] y", opset=21, **given)
    assert not contradiction(of_corners(data))


@pytest.mark.parametrize("ends", ["end = -5", "start = 1, end = -6", "start = -9, end = -7"])
def test_a_shape_that_ends_before_the_first_axis_is_empty(ends: str) -> None:
    """Where it is, and only there, the pixels are weighted."""
    body = f"s = Shape<{ends}>(STORED) n = Size(s) e = Equal(n, NONE) w = Cast<to = 1>(e) {_WEIGHT}"
    data = parse(body, STORED=np.zeros((3, 2, 2, 5)), NONE=np.array(0), RAMP=_RAMP)
    assert claims(data).outcome == "NOT PROVED"
    assert not contradiction(data)


@pytest.mark.parametrize(
    "second", [{"value_float": 1.0}, {"value": numpy_helper.from_array(np.ones(8, np.float32))}]
)
def test_of_several_values_of_a_constant_none_is_picked(second: dict[str, Any]) -> None:
    """onnxruntime takes the first, and ONNX's reference one of a kind that it prefers."""
    body = "w = Identity(x) z = Mul(x, w) y = ReduceMax<axes = [1, 2, 3], keepdims = 0>(z)"
    model = onnx.load_model_from_string(parse(body))
    model.graph.node[0].CopyFrom(helper.make_node("Constant", [], ["w"]))
    for name, value in {"value_floats": list(map(float, range(8))), **second}.items():
        model.graph.node[0].attribute.append(helper.make_attribute(name, value))
    assert claims(model.SerializeToString()).outcome == "NOT PROVED"


@pytest.mark.slow
@pytest.mark.parametrize("trap", ["odd attributes", "odd windows", "transposed windows", "resized"])
def test_traps_do_too(trap: str) -> None:
    graphs = {seed: draw_trap(trap, seed).SerializeToString() for seed in range(50)}
    found = {seed: contradiction(of_corners(data, seed)) for seed, data in graphs.items()}
    assert not any(found.values()), {seed: said for seed, said in found.items() if said}


def test_a_rule_that_goes_wrong_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    wrong = dataclasses.replace(OPERATORS["Transpose"], rule=OPERATORS["Identity"].rule)
    monkeypatch.setitem(operators.OPERATORS, "Transpose", wrong)
    assert contradiction(of_corners(graph_of("Transpose")))
