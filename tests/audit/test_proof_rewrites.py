"""Rewrites of onnxruntime that pass over a part of what the file says: none may be proved."""

from typing import Any, Final

import numpy as np
import onnx
import pytest

from audit.proof import prove
from tests.audit.fuzz.judge import answers, draw_images, run_alone
from tests.audit.test_proof_cases import parse
from tests.audit.test_proof_fusions import TURNED, TURNS

_MOST: Final = "ReduceMax<axes = [1, 2, 3], keepdims = 0>"


def _rotates(data: bytes, *, optimised: bool = True) -> bool:
    """Whether answers change with the rotation, by more than rounding."""
    runs = answers(data, draw_images(onnx.load_model_from_string(data)), optimised=optimised)
    assert runs is not None
    batches = zip(*runs[:4], strict=True)
    return not all(
        np.allclose(first, other, rtol=1e-3) for first, *others in batches for other in others
    )


def _assert_refused(data: bytes, reason: str = "") -> None:
    """See that onnxruntime makes something of a file that rotates, and that it is not proved."""
    assert _rotates(data)
    assert not _rotates(data, optimised=False)
    proof = prove(data, runtime=run_alone)
    assert proof.outcome == "NOT PROVED"
    assert reason in proof.reasons[0]


@pytest.mark.parametrize(
    "node",
    [
        "LeakyRelu<alpha = {0}>({1})",
        "Elu<alpha = {0}>({1})",
        "HardSigmoid<alpha = 0.0, beta = {0}>({1})",
    ],
)
def test_an_attribute_of_minus_zero_is_refused(node: str) -> None:
    """onnxruntime makes one node of this one and of the branch that reads the same image."""
    text = f"r0 = Sub(x, HALF) {TURNED}"
    for k in range(4):
        text += f" a{k} = {node.format('0.0', f'r{k}')} d{k} = Div(UNIT, a{k})"
        text += f" g{k} = Greater(d{k}, NIL) f{k} = Cast<to = 1>(g{k})"
    text += f" s = Sum(f0, f1, f2, f3) p = Mul(s, RAMP) y = {_MOST}(p)"
    text += f" m = {node.format('-0.0', 'r0')} z = {_MOST}(m)"
    given: dict[str, Any] = {
        "HALF": np.float32(0.5),
        "UNIT": np.float32(1),
        "NIL": np.float32(0),
        "RAMP": np.arange(64, dtype=np.float32).reshape(1, 1, 8, 8),
    }
    data = parse(text, outputs="float[a] y, float[b] z", **TURNS, **given)
    _assert_refused(data, "-0.0")


@pytest.mark.parametrize("pool", ["AveragePool", "MaxPool"])
@pytest.mark.parametrize("between", ["", "Identity", "Abs"])
def test_windows_that_begin_in_padding_are_refused(pool: str, between: str) -> None:
    """onnxruntime pads while it pools, and has one window less: rows of branches are mixed up."""
    text = f"r0 = Abs(x) {TURNED}"
    for k in range(4):
        padded = f"q{k} = Pad(r{k}, PADS) p{k} = {between}(q{k})" if between else ""
        text += f" {padded or f'p{k} = Pad(r{k}, PADS)'}"
        text += f" f{k} = {pool}<kernel_shape = [2, 2], strides = [2, 2], ceil_mode = 1>(p{k})"
    text += (
        f" c = Concat<axis = 2>(f0, f1, f2, f3) s = Slice(c, ZERO, END, ROWS, STEP) y = {_MOST}(s)"
    )
    given: dict[str, Any] = {"PADS": np.array([0, 0, 0, 0, 0, 0, 1, 1]), "END": np.array([20])}
    data = parse(text, **TURNS, **given, STEP=np.array([5]))
    if between == "Abs":
        assert not _rotates(data)
        assert prove(data, runtime=run_alone).outcome == "PROVED"
    else:
        _assert_refused(data, "begin in the padding")


def test_a_root_of_a_mean_and_of_other_means_is_refused() -> None:
    """onnxruntime takes this for a normalisation along rows, and passes over all that is added."""
    text = f"r0 = Sigmoid(x) {TURNED} p0 = Pow(r0, TWO) b0 = ReduceMean<axes = [3]>(p0)"
    for k in (1, 2, 3):
        text += f" p{k} = Pow(r{k}, TWO) m{k} = ReduceMean<axes = [3]>(p{k})"
        back = f"m{k}"
        for turn in range(4 - k):
            text += f" u{k}{turn} = Transpose<perm = [0, 1, 3, 2]>({back})"
            back = f"b{k}" if turn == 3 - k else f"v{k}{turn}"
            text += f" {back} = Slice(u{k}{turn}, BACK, FIRST, ROWS, BACK)"
    text += (
        " s = Add(b1, b2) t = Add(s, b3) v = Add({0}) d = Sqrt(v) n = Div(r0, d) w = Mul(n, SCALE)"
    )
    given: dict[str, Any] = {"TWO": np.float32(2), "SCALE": np.full(8, 1.5, np.float32)}
    for summands in ("b0, t", "t, b0"):
        data = parse(f"{text.format(summands)} y = {_MOST}(w)", **TURNS, **given)
        _assert_refused(data)


@pytest.mark.parametrize("kind", [6, 7])
@pytest.mark.parametrize("divisor", ["Add(least, UNIT)", "Identity(THREE)"])
def test_a_product_with_an_inverse_of_integers_is_refused(kind: int, divisor: str) -> None:
    """onnxruntime divides the first factor, and 3 / 2 times 4 is not 4 / 2 times 3."""
    text = f"r0 = Cast<to = {kind}>(x) {TURNED} least = ReduceMin<axes = [1, 2, 3]>(r0)"
    text += f" by = {divisor} i = Div(UNIT, by) m0 = Mul(i, r0) m1 = Mul(m0, r1) m2 = Mul(m1, r2)"
    text += f" m3 = Mul(m2, r3) f = Cast<to = 1>(m3) p = Mul(f, RAMP) y = {_MOST}(p)"
    dtype = onnx.helper.tensor_dtype_to_np_dtype(kind)
    given: dict[str, Any] = {
        "UNIT": np.array(1, dtype),
        "THREE": np.array(3, dtype),
        "RAMP": np.arange(64, dtype=np.float32).reshape(1, 1, 8, 8),
    }
    data = parse(text, "uint8[N,1,8,8] x", **TURNS, **given)
    _assert_refused(data, "inverses of integers")


@pytest.mark.parametrize("replaced", [["S"], ["T"], []])
def test_two_scales_of_a_product_of_integers_are_refused(replaced: list[str]) -> None:
    """onnxruntime multiplies the bias by the second of them, if it cannot compute their product."""
    text = "l = Flatten(x) i = MatMulInteger(l, W, Z) c = Cast<to = 1>(i) s = Mul(S, T)"
    text += " m = Mul(c, s) a = Add(m, B) r = Relu(a) y = ReduceMax<axes = [1], keepdims = 0>(r)"
    weights = np.random.default_rng(0).integers(-30, 30, (8, 8)).astype(np.int8)
    scales = np.array([1, 2, 4, 8], np.float32) / 8
    given: dict[str, Any] = {
        "W": np.stack([np.rot90(weights, k).ravel() for k in range(4)], 1),
        "Z": np.uint8(3),
        "S": scales,
        "T": scales[::-1].copy(),
        "B": np.full(4, 5, np.float32),
    }
    model = onnx.load_model_from_string(parse(text, "uint8[N,1,8,8] x", **given))
    model.graph.input.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, [4]) for name in replaced
    )
    data = model.SerializeToString()
    if replaced:
        _assert_refused(data, "two scales")
    else:
        assert not _rotates(data)
        assert prove(data, runtime=run_alone).exact_bits


@pytest.mark.parametrize(
    ("told", "between", "outcome"),
    [
        ("", "Identity", "NOT PROVED"),
        ("", "Relu", "NOT PROVED"),
        ("noted", "Relu", "NOT PROVED"),
        ("all", "Relu", "PROVED"),
    ],
)
def test_constants_of_shapes_that_are_known_of_some_branches_are_refused(
    told: str, between: str, outcome: str
) -> None:
    """A number that onnxruntime does not take for a constant it passes over under a root."""
    text = f"r0 = Relu(x) {TURNED} a = Reshape(x, SHAPE) o = {between}(a)"
    text += " b = Reshape(x, SHAPE) p = Abs(b)" if told else ""
    for k in range(4):
        source = "o" if k == 3 or told == "all" else "p" if told else "x"
        text += f" h{k} = Shape({source}) g{k} = Gather(h{k}, PLACE) e{k} = Cast<to = 1>(g{k})"
        text += f" m{k} = ReduceMean<axes = [3]>(r{k}) d{k} = Sub(r{k}, m{k}) s{k} = Pow(d{k}, TWO)"
        text += f" v{k} = ReduceMean<axes = [3]>(s{k}) w{k} = Add(v{k}, e{k}) q{k} = Sqrt(w{k})"
        text += f" n{k} = Div(d{k}, q{k}) c{k} = Mul(n{k}, SCALE) l{k} = Add(c{k}, SCALE)"
        text += f" f{k} = {_MOST}(l{k})"
    text += " y = Sum(f0, f1, f2, f3)"
    given: dict[str, Any] = {
        "SHAPE": np.array([1, 1, 8, 8]),
        "PLACE": np.array(2),
        "TWO": np.float32(2),
        "SCALE": np.arange(1, 9).astype(np.float32),
    }
    parsed = parse(text, "float[1,1,8,8] x", opset=13, **TURNS, **given)
    model = onnx.load_model_from_string(parsed)
    make = onnx.helper.make_tensor_value_info
    model.graph.input.append(make("SHAPE", onnx.TensorProto.INT64, [4]))
    if told == "noted":
        model.graph.value_info.append(make("p", onnx.TensorProto.FLOAT, [1, 1, 8, 8]))
    data = model.SerializeToString()
    assert _rotates(data) == (outcome == "NOT PROVED")
    assert not _rotates(data, optimised=False)
    assert prove(data, runtime=run_alone).outcome == outcome
