"""Filters that tie only nearly: what is found, and the bound that must hold.

Deviations are measured in float64 by ONNX's reference implementation, so that rounding is far below
any residual.
"""

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper
from onnx.reference import ReferenceEvaluator

from audit.proof import prove
from imaging import grid_symmetries

Floats = NDArray[np.float64]
DATA = Path(__file__).parent / "data"
FIELDS, SIZE = 2, 7
CHANNELS = 4 * FIELDS


def measured(data: bytes, group: str, images: Floats) -> float:
    """Largest change of a logit under the group, in float64."""
    model = onnx.load_model_from_string(data)
    for tensor in model.graph.initializer:
        if tensor.data_type == TensorProto.FLOAT:
            values = numpy_helper.to_array(tensor).astype(np.float64)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    for value in (*model.graph.input, *model.graph.output):
        value.type.tensor_type.elem_type = TensorProto.DOUBLE
    run = ReferenceEvaluator(model).run
    upright, *rotated = (
        run(None, {"image": np.ascontiguousarray(g(images))})[0] for g in grid_symmetries(group)
    )
    return float(max(np.abs(t - upright).max() for t in rotated))


def images(shape: tuple[int, ...], seed: int = 0) -> Floats:
    """Noise, half of it black and white: what is in range is most extreme there."""
    random = np.random.default_rng(seed)
    grey, extreme = random.random((4, *shape)), random.integers(0, 2, (4, *shape))
    return np.concatenate([grey, extreme.astype(np.float64)])


# --- networks from elsewhere ------------------------------------------------------------------


@pytest.mark.slow
def test_networks_that_escnn_exports_are_proved_within_a_bound() -> None:
    for name, group, subgroup in [("c4", "C4", "C4"), ("d4", "D4", "D4"), ("c8", "C8", "C4")]:
        data = (DATA / f"escnn-{name}.onnx").read_bytes()
        proof = prove(data, group)
        assert proof.outcome == "PROVED WITHIN", proof.reasons
        assert proof.subgroup == subgroup
        assert proof.residual is not None
        assert 1e-8 < proof.residual.relative < 1e-6
        assert proof.residual.op == "Conv"
        assert not proof.exact_bits
        bound = proof.residual.deviation["logits"]
        assert 0 < measured(data, group, images((1, 13, 13))) <= bound < 1e-3
        assert prove(data, group, tolerance=0).outcome == "NOT PROVED"


@pytest.mark.slow
@pytest.mark.parametrize(("name", "group"), [("c4", "D4"), ("c8", "D4")])
def test_a_symmetry_that_they_lack_is_not_proved(name: str, group: str) -> None:
    data = (DATA / f"escnn-{name}.onnx").read_bytes()
    assert prove(data, group).outcome == "NOT PROVED"
    assert measured(data, group, images((1, 13, 13))) > 1e-3


def test_a_weight_that_is_wrong_is_no_residual() -> None:
    model = onnx.load(DATA / "escnn-c4.onnx")
    kernel = next(t for t in model.graph.initializer if len(t.dims) == 4)
    values = numpy_helper.to_array(kernel).copy()
    values[0, 0, 0, 1] *= 1.001
    kernel.CopyFrom(numpy_helper.from_array(values, kernel.name))
    proof = prove(model.SerializeToString(), "C4")
    assert proof.outcome == "NOT PROVED"
    assert "no filter equal to its filter" in proof.reasons[0]


# --- the bound --------------------------------------------------------------------------------

MIDDLES = [
    "Abs(X)",
    "AveragePool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(X)",
    "BatchNormalization(X, SCALE, SHIFT, SHIFT, SCALE)",
    "Clip(X, LOW, HIGH)",
    "Conv<pads = [1, 1, 1, 1]>(X, GROUP, SHIFT)",
    "Div(X, PLANES)",
    "Elu(X)",
    "LeakyRelu<alpha = 0.2>(X)",
    "MaxPool<kernel_shape = [3, 3], pads = [1, 1, 1, 1]>(X)",
    "Max(X, f)",
    "Mul(X, PLANES)",
    "Mul(X, f)",
    "Neg(X)",
    "Relu(X)",
    "Sigmoid(X)",
    "Softmax<axis = 1>(X)",
    "Sub(f, X)",
    "Sum(X, PLANES)",
    "Tanh(X)",
]


def network(random: np.random.Generator, middles: list[str], noise: float) -> bytes:
    """A float network on [0, 1] whose parameters tie up to some noise."""
    body, tensor = "f = Conv<pads = [1, 1, 1, 1]>(image, LIFT, SHIFT) ", "f"
    for place, middle in enumerate(middles):
        body += f"x{place} = {middle.replace('X', tensor)} "
        tensor = f"x{place}"
    body += f"m = ReduceMean<keepdims = 0>({tensor}, GRID) logits = Gemm<transB = 1>(m, HEAD)"
    base = random.standard_normal((FIELDS, 1, 3, 3))
    deep = random.standard_normal((FIELDS, FIELDS, 4, 3, 3)) / 6
    lift = np.stack([np.rot90(base, k, (2, 3)) for k in range(4)], axis=1)
    group = np.stack([np.rot90(np.roll(deep, k, 2), k, (3, 4)) for k in range(4)], axis=1)
    field = np.repeat(random.uniform(0.5, 1.5, (3, FIELDS)), 4, axis=1)
    constants: dict[str, Any] = {
        "LIFT": lift.reshape(CHANNELS, 1, 3, 3),
        "GROUP": group.reshape(CHANNELS, CHANNELS, 3, 3),
        "SCALE": field[0],
        "SHIFT": field[1],
        "PLANES": field[2].reshape(-1, 1, 1),
        "HEAD": np.repeat(random.standard_normal((3, FIELDS)), 4, axis=1),
        "LOW": -0.5,
        "HIGH": 1.0,
    }
    text = f"""
        <ir_version: 9, opset_import: ["" : 18]>
        network (float[N, 1, {SIZE}, {SIZE}] image) => (float[N, 3] logits) {{ {body} }}
    """
    model = onnx.parser.parse_model(text)
    for name, value in constants.items():
        if name in body:
            array = np.asarray(value, np.float32)
            array = array + noise * random.uniform(-1, 1, array.shape) * (array.ndim > 0)
            tensors = numpy_helper.from_array(array.astype(np.float32), name)
            model.graph.initializer.append(tensors)
    model.graph.initializer.append(numpy_helper.from_array(np.array([2, 3]), "GRID"))
    return bytes(model.SerializeToString())


def check_bounds(seeds: range) -> tuple[int, float]:
    """Return how many networks are proved within a bound, and the largest share of it seen."""
    proved, share = 0, 0.0
    for seed in seeds:
        random = np.random.default_rng(seed)
        middles = list(random.choice(MIDDLES, random.integers(0, 4)))
        data = network(random, middles, noise=2e-6)
        proof = prove(data, "C4", tolerance=1e-4)
        if proof.outcome == "NOT PROVED":
            continue
        assert proof.residual is not None, middles
        bound = proof.residual.deviation["logits"]
        found = measured(data, "C4", images((1, SIZE, SIZE), seed))
        assert found <= bound, (seed, middles)
        proved, share = proved + 1, max(share, found / (bound or 1))
    return proved, share


@pytest.mark.slow
def test_no_deviation_exceeds_its_bound() -> None:
    proved, share = check_bounds(range(60))
    assert proved > 50
    assert share > 1e-3


@pytest.mark.slow
def test_no_deviation_of_many_exceeds_its_bound() -> None:
    proved, _ = check_bounds(range(1000, 1750))
    assert proved > 650


def test_every_operator_carries_its_bound() -> None:
    """The bound is finite after each, and holds."""
    for middle in MIDDLES:
        data = network(np.random.default_rng(7), [middle, middle], noise=1e-6)
        proof = prove(data, "C4", tolerance=1e-4)
        assert proof.outcome == "PROVED WITHIN", proof.reasons
        assert proof.residual is not None
        assert measured(data, "C4", images((1, SIZE, SIZE))) <= proof.residual.deviation["logits"]


def test_the_bound_is_nearly_reached_where_one_tap_is_off() -> None:
    """One layer, one tap: white at the tap and black where it rotates to makes the most of it."""
    off = 2.0**-18
    filters = np.stack([np.rot90(np.arange(9.0).reshape(3, 3), k) for k in range(4)])[:, None]
    filters[0, 0, 0, 0] += off
    text = """
        <ir_version: 9, opset_import: ["" : 18]>
        network (float[N, 1, 3, 3] image) => (float[N, 1] logits) {
            f = Conv(image, LIFT) g = Flatten(f) logits = MatMul(g, ONES)
        }
    """
    model = onnx.parser.parse_model(text)
    for name, value in {"LIFT": filters, "ONES": np.ones((4, 1))}.items():
        model.graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), name))
    proof = prove(model.SerializeToString(), "C4")
    assert proof.residual is not None
    assert proof.residual.relative == pytest.approx(off / 8)
    corner = np.zeros((1, 1, 3, 3))
    corner[..., 0, 0] = 1
    found = measured(model.SerializeToString(), "C4", corner)
    assert found == pytest.approx(off)
    assert found <= proof.residual.deviation["logits"] <= 8 * off


def cast_between(kind: int, tap: float, off: float) -> bytes:
    """Four rotations of one tap, of which the first is off, cast to a type and back, and summed."""
    filters = np.zeros((4, 1, 3, 3))
    filters[:, 0, [0, 2, 2, 0], [0, 0, 2, 2]] = tap * np.eye(4)
    filters[0] += off * (filters[0] > 0)
    text = f"""
        <ir_version: 9, opset_import: ["" : 18]>
        network (float[N, 1, 3, 3] image) => (float[N, 1] logits) {{
            f = Conv(image, LIFT) h = Cast<to = {kind}>(f) b = Cast<to = 1>(h)
            g = Flatten(b) logits = MatMul(g, ONES)
        }}
    """
    model = onnx.parser.parse_model(text)
    for name, value in {"LIFT": filters, "ONES": np.ones((4, 1))}.items():
        model.graph.initializer.append(numpy_helper.from_array(value.astype(np.float32), name))
    return bytes(model.SerializeToString())


@pytest.mark.parametrize(
    ("kind", "halfway", "unit"),
    [(TensorProto.BFLOAT16, 257.0, 2.0), (TensorProto.FLOAT16, 2049.0, 2.0)],
)
def test_a_cast_to_fewer_bits_makes_a_unit_of_a_residual(
    kind: int, halfway: float, unit: float
) -> None:
    """What is in the middle between two numbers of the type is rounded away from its neighbour."""
    data = cast_between(kind, halfway, off=2.0**-10)
    proof = prove(data, "C4")
    assert proof.residual is not None
    corner = np.zeros((1, 1, 3, 3), np.float32)
    corner[..., 0, 0] = 1
    run = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).run
    answers = [run(None, {"image": np.rot90(corner, k, (2, 3)).copy()})[0] for k in range(4)]
    assert np.ptp(answers) == unit
    assert unit <= proof.residual.deviation["logits"] <= 64 * unit


def test_a_cast_that_a_residual_may_carry_out_of_range_has_no_bound() -> None:
    data = cast_between(TensorProto.FLOAT16, 65519.99, off=2.0**-4)
    proof = prove(data, "C4")
    assert proof.outcome == "NOT PROVED"
    assert "no bound is known" in proof.reasons[0]


@pytest.mark.parametrize("kind", [TensorProto.DOUBLE, TensorProto.FLOAT])
def test_a_cast_to_as_many_bits_keeps_the_bound(kind: int) -> None:
    residual = prove(cast_between(kind, 257.0, off=2.0**-10), "C4").residual
    assert residual is not None
    assert 0 < residual.deviation["logits"] < 16 * 2.0**-10
