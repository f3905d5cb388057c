"""What onnxruntime makes of several nodes is another thing than they are: none may be proved."""

from typing import Any, Final

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray

from audit.proof import prove
from audit.proof.runtime.fusions import Fusions
from tests.audit.fuzz.judge import answers, judge, run_alone, same_bits
from tests.audit.test_proof_cases import parse

Array = NDArray[Any]

_ALL = "y = ReduceMax<axes = [1, 2, 3], keepdims = 0>(z)"
TURNED = " ".join(
    f"t{k} = Transpose<perm = [0, 1, 3, 2]>(r{k - 1}) r{k} = Slice(t{k}, BACK, FIRST, ROWS, BACK)"
    for k in (1, 2, 3)
)
TURNS: Final[dict[str, Any]] = {
    "BACK": np.array([-1]),
    "FIRST": np.array([-(2**63)]),
    "ROWS": np.array([2]),
}
_QUANTISED = "q = QuantizeLinear({0}, SX, ZX) d = DequantizeLinear(q, SX, ZX)"
_WEIGHTS = "w = DequantizeLinear<axis = {0}>(W, SW, ZW)"
_END = "o = QuantizeLinear(v, SO, ZO) e = DequantizeLinear(o, SO, ZO)"
_UNITS: Final[dict[str, Any]] = {
    "SX": np.float32(0.05),
    "ZX": np.uint8(0),
    "SO": np.float32(0.02),
    "ZO": np.uint8(100),
}


def deviate(data: bytes, *, optimised: bool = True) -> bool:
    """Whether answers differ for rotated images, by more than rounding."""
    drawn = np.random.default_rng(0)
    side = onnx.load_model_from_string(data).graph.input[0].type.tensor_type.shape.dim[2].dim_value
    images = drawn.random((400, 1, side, side)).astype(np.float32)
    runs = answers(data, images, optimised=optimised)
    assert runs is not None
    return any(
        np.abs(a - b).max() > 1e-3 * np.abs(a).max()
        for rotated in runs[1:4]
        for a, b in zip(runs[0][:1], rotated[:1], strict=True)
    )


def _branches(head: str, branch: str, more: str, **constants: Any) -> bytes:
    """Average a branch over four rotations; ``more`` reads within the first one."""
    four = " ".join(branch.replace("@", str(k)) for k in range(4))
    body = f"{head} {TURNED} {four} a = Add(f0, f1) b = Add(a, f2) y = Add(b, f3) {more}"
    return parse(body, outputs="float[a] y, float[b] z", **TURNS, **constants)


def test_normalisation_over_several_axes_that_becomes_one_over_the_last_is_refused() -> None:
    body = "p = Squeeze(x, ONE) q = Relu(p) a = Add(p, q) v = LayerNormalization<axis = 1>(a, S)"
    end = "y = ReduceMax<axes = [1, 2], keepdims = 0>(v)"
    data = parse(f"{body} {end}", S=np.ones(8, np.float32))
    assert deviate(data)
    assert not deviate(data, optimised=False)
    proof = prove(data, runtime=run_alone)
    assert proof.outcome == "NOT PROVED"
    assert "several axes" in proof.reasons[0]
    whole = parse(f"{body} {end}", S=np.ones((8, 8), np.float32))
    assert not deviate(whole)
    assert prove(whole, runtime=run_alone).outcome == "PROVED"


@pytest.mark.parametrize(
    "between",
    [
        "Identity({0})",
        "Add({0}, ZERO)",
        "Add(ZERO, {0})",
        "Sub({0}, ZERO)",
        "Mul({0}, UNIT)",
        "Div({0}, UNIT)",
        "Expand({0}, UNITS)",
        "Pad({0}, ZEROS)",
        "Slice({0}, BEGIN, END, ROWS)",
    ],
)
def test_maxima_of_what_is_padded_by_more_than_its_entries_are_refused(between: str) -> None:
    """onnxruntime lets the padding be nothing, where nothing else reads it."""
    branch = f"p@ = Pad(r@, PADS) u@ = {between.format('p@')}"
    branch += " m@ = MaxPool<kernel_shape = [3, 3]>(u@)"
    branch += " f@ = ReduceMean<axes = [1, 2, 3], keepdims = 0>(m@)"
    more = "n = Mul(p0, NOTHING) z = ReduceMax<axes = [1, 2, 3], keepdims = 0>(n)"
    constants: dict[str, Any] = {
        "PADS": np.array([0, 0, 2, 0, 0, 0, 0, 1]),
        "TWO": np.float32(2),
        "NOTHING": np.float32(0),
        "ZERO": np.float32(0),
        "UNIT": np.float32(1),
        "UNITS": np.ones(4, np.int64),
        "ZEROS": np.zeros(8, np.int64),
        "BEGIN": np.array([0]),
        "END": np.array([2**63 - 1]),
    }
    data = _branches("r0 = Sub(x, TWO)", branch, more, **constants)
    assert deviate(data)
    proof = prove(data, runtime=run_alone)
    assert proof.outcome == "NOT PROVED"
    assert "takes maxima" in proof.reasons[0]
    alike = "z = ReduceMax<axes = [1, 2, 3], keepdims = 0>(x)"
    positive = _branches("r0 = Add(x, TWO)", branch, alike, **constants)
    assert not deviate(positive)
    assert prove(positive, runtime=run_alone).outcome == "PROVED"


def test_the_judge_sees_what_is_misread_where_every_bit_is_claimed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = "t = Transpose<perm = [0, 2, 3, 1]>(x) r = Relu(t) p = Pad(r, PADS, , ORDER)"
    body += " u = Transpose<perm = [0, 3, 1, 2]>(p) z = Slice(u, ONES, NINES, PLANE)"
    body += " w = Abs(z) y = ReduceMax<keepdims = 0>(w, AXES)"
    given: dict[str, Any] = {
        "PADS": np.array([0, 1, 2, 1, 0, 1, 0, 1]),
        "ORDER": np.array([0, 1, 3, 2]),
        "ONES": np.array([1, 1]),
        "NINES": np.array([9, 9]),
        "PLANE": np.array([2, 3]),
    }
    model = onnx.load_model_from_string(parse(body, "uint8[N,1,8,8] x", "uint8[a] y", 18, **given))
    model.graph.node[1].op_type = "Identity"
    assert judge(model).claim == "not proved"
    monkeypatch.setattr(Fusions, "refuse_misread", lambda *_: None)
    assert judge(model).finding == "unsound"


@pytest.mark.parametrize("axes", [[0, 1, 3, 2], [-4, -2, -3, -1]])
def test_pads_in_another_order_than_the_axes_are_refused_behind_a_transposition(
    axes: list[int],
) -> None:
    """Pixels get one on each side, and channels two before them: sizes are the same mixed up."""
    body = "t = Transpose<perm = [0, 2, 3, 1]>(x) r = Relu(t) p = Pad(r, PADS, , ORDER)"
    body += " u = Transpose<perm = [0, 3, 1, 2]>(p) z = Slice(u, FIRST, LAST, PLANE)"
    body += " y = ReduceMax<keepdims = 0>(z, AXES)"
    pads = np.array([[0, 1, 1, 2], [0, 1, 1, 0]])
    inside = {"FIRST": [1, 1], "LAST": [9, 9], "PLANE": [2, 3]}
    places: dict[str, Any] = {name: np.array(value) for name, value in inside.items()}
    for order, refused in ((axes, True), ([0, 1, 2, 3], False)):
        given: dict[str, Any] = {"PADS": pads[:, order].ravel(), "ORDER": np.array(order)}
        data = parse(body, opset=18, **places, **given)
        assert deviate(data) == refused
        assert not deviate(data, optimised=False)
        outcome = "NOT PROVED" if refused else "PROVED"
        assert prove(data, runtime=run_alone).outcome == outcome


@pytest.mark.parametrize(
    "between",
    [
        "g@ = Identity(e@)",
        "g@ = Add(e@, ZERO)",
        "g@ = Sub(e@, ZERO)",
        "o@ = Transpose<perm = [0, 1, 3, 2]>(e@) g@ = Transpose<perm = [0, 1, 3, 2]>(o@)",
    ],
)
@pytest.mark.parametrize(
    ("usual", "odd", "constants"),
    [
        ("", "", {"POWER": np.float32(4)}),
        ("", "", {"SMALL": np.linspace(0.1, 1, 8, dtype=np.float32)}),
        ("Div(d@, s@)", "Div(s@, d@)", {}),
        ("Sub(r@, m@)", "Sub(m@, r@)", {}),
        ("n@ = Div(d@, s@)", "i@ = Div(UNIT, d@) n@ = Mul(i@, s@)", {}),
        ("Pow(d@, POWER)", "Pow(POWER, d@)", {}),
    ],
)
def test_what_onnxruntime_takes_for_a_normalisation_and_is_none_is_refused(
    usual: str, odd: str, constants: dict[str, Any], between: str
) -> None:
    """It does so in three branches of four, if the scale of the first one has several axes."""
    branch = "m@ = ReduceMean<axes = [3]>(r@) d@ = Sub(r@, m@) p@ = Pow(d@, POWER)"
    branch += " v@ = ReduceMean<axes = [3]>(p@) e@ = Add(v@, SMALL)"
    branch += f" {between} s@ = Sqrt(g@)"
    branch += " n@ = Div(d@, s@) w@ = Mul(n@, SCALE@) u@ = Add(w@, SHIFT)"
    branch += " f@ = ReduceMax<axes = [1, 2, 3], keepdims = 0>(u@)"
    scale = np.linspace(1, 2, 8, dtype=np.float32)
    alike: dict[str, Any] = {
        "POWER": np.float32(2),
        "SMALL": np.float32(0.01),
        "ZERO": np.float32(0),
        "UNIT": np.float32(1),
        "SHIFT": np.zeros(8, np.float32),
        **{f"SCALE{k}": scale for k in range(4)},
    }
    head, more = "r0 = Relu(x)", "z = ReduceMax<axes = [1, 2, 3], keepdims = 0>(x)"
    odd_branch = branch.replace(usual, odd) if usual else branch
    otherwise = {**alike, **constants, "SCALE0": scale.reshape(1, 1, 1, 8)}
    data = _branches(head, odd_branch, more, **otherwise)
    assert deviate(data)
    assert not deviate(data, optimised=False)
    refused = prove(_branches(head, odd_branch, more, **{**alike, **constants}), runtime=run_alone)
    for proof in (prove(data, runtime=run_alone), refused):
        assert proof.outcome == "NOT PROVED"
    expected = _branches(head, branch, more, **alike)
    assert not deviate(expected)
    assert prove(expected, runtime=run_alone).outcome == "PROVED"


@pytest.mark.parametrize(
    ("between", "refused"),
    [
        ("h = Reshape(m, BACK)", True),
        ("k = Add(m, LOW) h = Reshape(k, BACK)", True),
        ("k = Slice(m, FIRST, END, ONE) h = Reshape(k, BACK)", True),
        ("k = Relu(m) h = Reshape(k, BACK)", False),
    ],
)
def test_rows_of_a_product_that_are_normalised_as_its_columns_are_refused(
    between: str, refused: bool
) -> None:
    """Rows are four ways to pool, which a rotation keeps; columns are orientations."""
    drawn = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    pools = zip("abcd", ("Max", "Min", "Mean", "L2"), strict=True)
    body = "g = Conv(x, F) " + " ".join(
        f"{n} = Reduce{op}<axes = [2, 3], keepdims = 0>(g) {n}1 = Unsqueeze({n}, ONE)"
        for n, op in pools
    )
    body += " t = Concat<axis = 1>(a1, b1, c1, d1) q = Reshape(t, ROWS) m = MatMul(q, W)"
    body += f" {between} v = BatchNormalization(h, S, B, M, V)"
    body += " y = ReduceMax<axes = [1, 2], keepdims = 0>(v)"
    around = [1, 0.5, 0.25, 0.1]
    given: dict[str, Any] = {
        "F": np.stack([np.rot90(drawn, k) for k in range(4)])[:, None],
        "W": np.array([np.roll(around, k) for k in range(4)], np.float32),
        "ROWS": np.array([-1, 4]),
        "BACK": np.array([-1, 4, 4]),
        "FIRST": np.array([0]),
        "END": np.array([2**63 - 1]),
        "LOW": np.float32(0),
        "S": np.array([1, 2, 3, 4], np.float32),
        "B": np.array([0.1, -0.2, 0.3, 1], np.float32),
        "M": np.zeros(4, np.float32),
        "V": np.ones(4, np.float32),
    }
    data = parse(body, **given)
    assert not deviate(data, optimised=False)
    assert deviate(data) == refused
    proof = prove(data, runtime=run_alone)
    assert proof.outcome == ("NOT PROVED" if refused else "PROVED")
    assert not refused or "columns" in proof.reasons[0]


def test_a_bias_in_another_unit_than_the_products_is_refused() -> None:
    """Two of the four integers are others, of another unit, and the floats the same."""
    drawn = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    body = f"""g = Conv(x, F) m = GlobalMaxPool(g) f = Flatten(m) {_QUANTISED.format("f")}
        {_WEIGHTS.format(1)} b = DequantizeLinear<axis = 0>(B, SB) v = Gemm(d, w, b) {_END}
        y = ReduceMax<axes = [1], keepdims = 0>(e)"""
    given: dict[str, Any] = {
        "F": np.stack([np.rot90(drawn, k) for k in range(4)])[:, None],
        "W": np.eye(4, dtype=np.int8),
        "SW": np.full(4, 0.5, np.float32),
        "ZW": np.zeros(4, np.int8),
        "B": np.array([40, 20, 40, 20], np.int32),
        "SB": np.array([0.025, 0.05, 0.025, 0.05], np.float32),
    }
    data = parse(body, **_UNITS, **given)
    assert deviate(data)
    assert prove(data, runtime=run_alone).outcome == "NOT PROVED"
    even = {"B": np.full(4, 40, np.int32), "SB": np.full(4, 0.025, np.float32)}
    assert prove(parse(body, **_UNITS, **{**given, **even}), runtime=run_alone).outcome == "PROVED"


def _tied(factors: list[int], bias: bool, **units: Any) -> bytes:
    """Four rotated filters, the same as floats, of integers that are so many times as large."""
    drawn = np.random.default_rng(1).integers(-8, 9, (3, 3))
    unit = np.float32(0.0137)
    weights = [np.rot90(drawn, k) * factor for k, factor in enumerate(factors)]
    scales = [np.float32(max(factors) // factor) * unit for factor in factors]
    body = f"""{_QUANTISED.format("x")} {_WEIGHTS.format(0)}
        v = Conv(d, w{", B" if bias else ""}) {_END}
        y = ReduceMax<axes = [1, 2, 3], keepdims = 0>(e)"""
    given: dict[str, Any] = {
        "W": np.stack(weights)[:, None].astype(np.int8),
        "SW": np.array(scales, np.float32),
        "ZW": np.zeros(4, np.int8),
        "B": np.full(4, 0.3, np.float32),
    }
    return parse(body, inputs="float[N,1,3,3] x", **{**_UNITS, **given, **units})


def test_equal_filters_of_other_integers_have_no_bits_of_integers() -> None:
    unit = np.float32(0.0137 * 0.05 * 14)
    data, even = _tied([7, 1, 7, 1], False, SO=unit), _tied([1, 1, 1, 1], False, SO=unit)
    images = np.random.default_rng(1).random((5000, 1, 3, 3)).astype(np.float32)
    for model, equal in ((data, False), (even, True)):
        runs = answers(model, images, optimised=True)
        assert runs is not None
        assert same_bits(runs[0][0], runs[1][0]) == equal
    assert prove(data, runtime=run_alone).arithmetic == "float"
    assert prove(even, runtime=run_alone).arithmetic == "quantised"


def test_a_bias_of_floats_that_is_rounded_to_several_units_is_refused() -> None:
    units = {"SX": np.float32(1 / 64), "SO": np.float32(0.01)}
    large = {**units, "SW": np.array([16, 112, 16, 112], np.float32)}
    data = _tied([7, 1, 7, 1], True, **large)
    assert prove(data, runtime=run_alone).outcome == "NOT PROVED"
    even = _tied([1, 1, 1, 1], True, **{**large, "SW": np.full(4, 16, np.float32)})
    assert prove(even, runtime=run_alone).outcome == "PROVED"
    images = np.zeros((1, 1, 3, 3), np.float32)
    plain, fused = (answers(data, images, optimised=on) for on in (False, True))
    assert plain is not None
    assert fused is not None
    assert np.abs(plain[0][0] - fused[0][0]).max() > 0.04


def test_scales_in_half_precision_have_no_bits_of_integers() -> None:
    body = f"h = Cast<to = 10>(x) {_QUANTISED.format('h')} {_WEIGHTS.format(0)} v = Conv(d, w)"
    body += f" {_END} k = ReduceMax<keepdims = 0>(e, AXES) y = Cast<to = 1>(k)"
    drawn = np.random.default_rng(1).integers(-8, 9, (3, 3))
    given: dict[str, Any] = {
        "W": np.stack([np.rot90(drawn, k) for k in range(4)])[:, None].astype(np.int8),
        "SW": np.full(4, 0.0137, np.float16),
        "ZW": np.zeros(4, np.int8),
        "SX": np.float16(0.05),
        "SO": np.float16(0.01),
    }
    data = parse(body, opset=21, **{**_UNITS, **given})
    assert prove(data, runtime=run_alone).arithmetic == "float"


@pytest.mark.parametrize("nothing", ["Add(m, NIL)", "Add(NIL, m)", "Sub(m, MINUS)"])
def test_nothing_that_is_added_leaves_the_sign_of_a_zero(nothing: str) -> None:
    """onnxruntime takes it away, and -0.0 with it, by which the order of a maximum may decide."""
    body = "a = Sub(x, HALF) r = Round(a) m = ReduceMax<axes = [1, 2, 3], keepdims = 0>(r)"
    body += f" s = {nothing} i = Reciprocal(s) g = Greater(i, NIL) y = Cast<to = 1>(g)"
    numbers = {"HALF": 0.5, "NIL": 0.0, "MINUS": -0.0}
    data = parse(body, **{name: np.float32(value) for name, value in numbers.items()})
    images = np.random.default_rng(0).integers(1, 4, (200, 1, 8, 8)).astype(np.float32) / 4
    plain, fused = (answers(data, images, optimised=on) for on in (False, True))
    assert plain is not None
    assert fused is not None
    assert same_bits(plain[0][0], plain[1][0])
    assert not same_bits(fused[0][0], fused[1][0])
    proof = prove(data, runtime=run_alone)
    assert proof.arithmetic == "float"
    assert proof.disordered is not None
    assert proof.steps


def test_a_shape_that_the_file_notes_and_that_is_none_is_refused() -> None:
    """onnxruntime computes N from it: of four rotated copies of two images it takes two."""
    copies = " ".join(
        f"p{k} = Slice(j, N{k}, N{k + 1}, ZERO, ONE) f{k} = Conv(p{k}, W) "
        f"g{k} = ReduceMax<axes = [1, 2, 3], keepdims = 0>(f{k})"
        for k in range(4)
    )
    sizes = " ".join(f"N{k} = Mul(N1, K{k})" for k in (2, 3, 4))
    body = f"""r0 = Relu(x) {TURNED} v = Sigmoid(x) s = Shape(v) N1 = Slice(s, ZERO, ONE, ZERO)
        N0 = Identity(ZERO) {sizes} i = Concat<axis = 0>(r0, r1, r2, r3) j = Abs(i) {copies}
        n = Mul(j, NIL) o = ReduceMax<axes = [1, 2, 3], keepdims = 0>(n)
        l = Slice(o, N3, N4, ZERO, ONE) a = Sum(g0, g1, g2, g3, l)
        m = ReduceMax<axes = [1, 2, 3], keepdims = 0>(x) t = Mul(m, NIL) y = Add(a, t)"""
    given: dict[str, Any] = {f"K{k}": np.array([k]) for k in (2, 3, 4)}
    given["W"] = np.random.default_rng(0).normal(size=(2, 1, 3, 3)).astype(np.float32)
    model = onnx.load_model_from_string(parse(body, **TURNS, **given, NIL=np.float32(0)))
    assert prove(model.SerializeToString(), runtime=run_alone).outcome == "PROVED"
    noted = onnx.helper.make_tensor_value_info("v", 1, [1, 1, 8, 8])
    model.graph.value_info.append(noted)
    data = model.SerializeToString()
    assert deviate(data)
    assert not deviate(data, optimised=False)
    proof = prove(data, runtime=run_alone)
    assert proof.outcome == "NOT PROVED"
    assert "another shape" in proof.reasons[0]
    model.graph.value_info[0].type.tensor_type.shape.dim[0].dim_value = 0
    none = model.SerializeToString()
    images = np.ones((2, 1, 8, 8), np.float32)
    written, runs = (answers(none, images, optimised=fast) for fast in (False, True))
    assert written is not None and runs is not None
    assert (len(written[0][0]), len(runs[0][0])) == (2, 0)  # it takes no copy at all
    assert "another shape" in prove(none, runtime=run_alone).reasons[0]


def test_a_shape_that_the_file_notes_of_its_input_besides_is_refused() -> None:
    model = onnx.load_model_from_string(parse(f"z = Relu(x) {_ALL}"))
    for side, outcome in ((8, "PROVED"), (4, "NOT PROVED")):
        noted = onnx.helper.make_tensor_value_info("x", 1, ["N", 1, side, 8])
        del model.graph.value_info[:]
        model.graph.value_info.append(noted)
        assert prove(model.SerializeToString(), runtime=run_alone).outcome == outcome
