"""Files that were proved once and are not invariant, and their kind: each must stay refused.

What is asserted of each is what it may still claim; nothing that runs may contradict it.
"""

from itertools import pairwise, product
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from audit.proof import Limits, Proof, ProofLimitError, prove
from tests.audit.fuzz.judge import answers, judge, run_alone

Array = NDArray[Any]
INT64 = "i"
N = "s = Shape(x) N = Slice(s, ZERO, ONE, ZERO) "


def parse(
    body: str,
    inputs: str = "float[N,1,8,8] x",
    outputs: str = "float[a] y",
    opset: int = 17,
    functions: str = "",
    **constants: Any,
) -> bytes:
    own = ', "own" : 1' if functions else ""
    text = f"""<ir_version: 10, opset_import: ["" : {opset}{own}]>
        g ({inputs}) => ({outputs}) {{ {body} }} {functions}"""
    proto = onnx.parser.parse_model(text)
    given = {"ZERO": np.array([0]), "ONE": np.array([1]), "AXES": np.array([1, 2, 3]), **constants}
    for name, value in given.items():
        if f"{name}" in body:
            proto.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return bytes(proto.SerializeToString())


def claims(data: bytes, group: str = "C4") -> Proof:
    """Prove, and see that nothing that runs contradicts it."""
    judged = judge(onnx.load_model_from_string(data))
    assert judged.finding in ("sound", "not run"), judged
    return prove(data, group, runtime=run_alone)


# --- the batch is no number -------------------------------------------------------------------


def test_a_proof_never_takes_the_batch_for_a_number() -> None:
    for body in [
        N + "f = Flatten(x) y = Slice(f, ZERO, N, ONE)",
        N + "f = Flatten(x) y = Gather<axis = 1>(f, N)",
        N + "k = Cast<to = 1>(N) m = Mul(x, k) y = ReduceMax<axes = [1, 2, 3], keepdims = 0>(m)",
        N + "i = Cast<to = 7>(x) q = Squeeze(N, ZERO) c = Clip(i, , q)"
        " d = Cast<to = 1>(c) y = ReduceMax<axes = [1, 2, 3], keepdims = 0>(d)",
        N + "e = Equal(N, ONE) f = Cast<to = 1>(e) m = Mul(x, f)"
        " y = ReduceMax<axes = [1, 2, 3], keepdims = 0>(m)",
        N + "w = Concat<axis = 0>(N, L, L, L, L, L, L, N) i = Cast<to = 7>(x) p = Mul(i, w)"
        " c = Cast<to = 1>(p) y = ReduceMax<axes = [1, 2, 3], keepdims = 0>(c)",
        N + "f = Flatten(x) v, k = TopK(f, N) y = ReduceMax<axes = [1], keepdims = 0>(v)",
        N + "r = Concat<axis = 0>(ONE, N, ONE, ONE) t = Tile(x, r)"
        " y = ReduceMax<axes = [1, 2, 3], keepdims = 0>(t)",
        N + "f = Flatten(x) t = Concat<axis = 0>(MINUS, N) y = Reshape(f, t)",
    ]:
        kind = (
            "float[a,b] y"
            if "Slice(f" in body or "Gather" in body or "MINUS" in body
            else "float[a] y"
        )
        data = parse(body, outputs=kind, L=np.array([-7_777_777_777_777]), MINUS=np.array([-1]))
        proof = claims(data)
        assert proof.outcome == "NOT PROVED"
        assert "batch" in proof.reasons[0] or "stops" in proof.reasons[0], proof.reasons


# --- functions --------------------------------------------------------------------------------

STRIDED = """
    <domain: "own", opset_import: ["" : 17]>
    Pool <strides: ints = [2, 2]> (X) => (Y)
    { Y = MaxPool <kernel_shape = [2, 2], strides: ints = @strides> (X) }
"""
OUTER = """
    <domain: "own", opset_import: ["" : 17, "own" : 1]>
    Outer <steps: ints = [2, 2]> (X) => (Y) { Y = own.Pool <strides: ints = @steps> (X) }
"""


def test_a_function_has_the_default_values_of_its_attributes() -> None:
    """On 7 x 7 pixels windows of 2 in steps of 2 leave one row and one column out."""
    for call, functions, outcome in [
        ("own.Pool(x)", STRIDED, "NOT PROVED"),
        ("own.Pool<strides = [1, 1]>(x)", STRIDED, "PROVED"),
        ("own.Outer(x)", STRIDED + OUTER, "NOT PROVED"),
        ("own.Outer<steps = [1, 1]>(x)", STRIDED + OUTER, "PROVED"),
    ]:
        body = f"p = {call} q = GlobalMaxPool(p) y = Flatten(q)"
        data = parse(body, "float[N,1,7,7] x", "float[a,b] y", functions=functions)
        assert claims(data).outcome == outcome


# --- types and values -------------------------------------------------------------------------


def test_integers_that_floats_cannot_hold_are_not_compared_as_floats() -> None:
    weights = np.full((64, 1), 2**53)
    weights[0] += 1
    body = "i = Cast<to = 7>(x) f = Flatten(i) y = MatMul(f, W)"
    data = parse(body, "uint8[N,1,8,8] x", "int64[a,b] y", W=weights)
    assert claims(data).outcome == "NOT PROVED"


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (ml_dtypes.int4, ml_dtypes.uint4),
        (ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2),
        (ml_dtypes.float8_e4m3fnuz, ml_dtypes.float8_e5m2fnuz),
    ],
)
def test_small_types_are_told_apart(one: Any, other: Any) -> None:
    """Four rotated copies, every second of them quantised to another type; the sum's corner."""
    rotation = "{b} = Transpose<perm = [0, 1, 3, 2]>({a}) {c} = Slice({b}, M, END, TWO, M) "
    body = "r0 = Identity(x) " + "".join(
        rotation.format(a=f"r{k}", b=f"t{k}", c=f"r{k + 1}") for k in range(3)
    )
    for k in range(4):
        zero = "ZA" if k % 2 == 0 else "ZB"
        body += f"h{k} = Sub(r{k}, HALF) q{k} = QuantizeLinear(h{k}, S, {zero})"
        body += f" d{k} = DequantizeLinear(q{k}, S, {zero}) "
    body += "c = Concat<axis = 1>(d0, d1, d2, d3) z = ReduceSum(c, ONE)"
    body += " p = Slice(z, FROM, TO, PLANE) y = Flatten(p)"
    more = {"S": np.float32(0.05), "M": np.array([-1]), "TWO": np.array([2])}
    more |= {"HALF": np.float32(0.5), "END": np.array([-(2**62)]), "PLANE": np.array([2, 3])}
    more |= {"FROM": np.array([0, 0]), "TO": np.array([1, 1])}
    for there, outcome in ((one, "PROVED"), (other, "NOT PROVED")):
        zeros = {"ZA": np.zeros((), one), "ZB": np.zeros((), there)}
        data = parse(body, outputs="float[a,b] y", opset=21, **zeros, **more)
        assert claims(data).outcome == outcome


def test_dilated_windows_padded_as_runtimes_please_are_refused() -> None:
    for mode, op in product(["SAME_UPPER", "SAME_LOWER"], ["MaxPool", "AveragePool", "LpPool"]):
        body = (
            f'p = {op}<auto_pad = "{mode}", dilations = [2, 2], kernel_shape = [2, 2]>(x)'
            " y = ReduceSum<keepdims = 0>(p, AXES)"
        )
        assert claims(parse(body, opset=19)).outcome == "NOT PROVED"


@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_integers_are_not_interpolated(mode: str) -> None:
    body = f'r = Resize<mode = "{mode}">(x, , SCALES) c = Cast<to = 6>(r)'
    body += " y = ReduceSum<keepdims = 0>(c, AXES)"
    scales = np.array([1, 1, 3, 3], np.float32)
    data = parse(body, "uint8[N,1,6,6] x", "int32[a] y", 13, SCALES=scales)
    assert claims(data).outcome == "NOT PROVED"


def test_a_float_out_of_range_is_not_cast() -> None:
    for factor, target in product([1e10, -1e10, np.nan, np.inf], [2, 3, 4, 5, 6, 7, 12, 13]):
        kind = TensorProto.DataType.Name(target)
        body = f"m = Mul(x, F) i = Cast<to = {target}>(m) c = Cast<to = 7>(i)"
        body += " y = ReduceSum<keepdims = 0>(c, AXES)"
        data = parse(body, "float[N,1,7,7] x", "int64[a] y", F=np.float32(factor))
        fits = np.isfinite(factor) and (kind == "INT64" or (kind == "UINT64" and factor > 0))
        assert (claims(data).outcome == "PROVED") == fits


ORDERED = [
    "y = ReduceMax<axes = [1, 2, 3], keepdims = 0>({v})",
    "y = ReduceMin<axes = [1, 2, 3], keepdims = 0>({v})",
    "m = GlobalMaxPool({v}) y = ReduceMax<axes = [1, 2, 3], keepdims = 0>(m)",
    "m = MaxPool<kernel_shape = [8, 8]>({v}) y = ReduceMax<axes = [1, 2, 3], keepdims = 0>(m)",
]


def test_bits_that_depend_on_the_order_of_nan_and_zeros_are_not_claimed() -> None:
    for first, last in product(
        [
            "f = Cast<to = 1>(x) d = Sub(f, HALF) v = Sqrt(d) ",
            "f = Cast<to = 1>(x) d = Sub(f, HALF) v = Log(d) ",
            "f = Cast<to = 1>(x) d = Sub(f, f) v = Div(f, d) ",
            "f = Cast<to = 1>(x) d = Mul(f, HALF) e = Sub(d, ONEF) v = Ceil(e) ",
        ],
        ORDERED,
    ):
        halves = {"HALF": np.float32(0.25), "ONEF": np.float32(1)}
        proof = claims(parse(first + last.format(v="v"), "uint8[N,1,8,8] x", **halves))
        assert not proof.exact_bits
        assert proof.holds_in == ("real arithmetic",) * (proof.outcome == "PROVED")


def test_zeros_of_both_signs_cost_no_bits_where_a_sum_takes_no_notice() -> None:
    """As in networks of integers: a rounded small negative number is -0.0, and is convolved."""
    body = "f = Cast<to = 1>(x) d = Sub(f, HALF) r = Round(d) m = MaxPool<kernel_shape = [2, 2]>(r)"
    body += " c = Conv(m, W) y = ReduceMax<axes = [1, 2, 3], keepdims = 0>(c)"
    halves = {"HALF": np.float32(0.25), "W": np.ones((1, 1, 3, 3), np.float32)}
    assert claims(parse(body, "uint8[N,1,8,8] x", **halves)).exact_bits


# --- constants --------------------------------------------------------------------------------


@pytest.mark.parametrize("start", [-100, -4])
def test_a_constant_of_which_runtimes_make_something_else_is_not_followed(start: int) -> None:
    body = "i = Slice(V, START, END, ZERO, M) g = Gather<axis = 1>(x, i)"
    body += " y = ReduceMax<axes = [1, 2, 3], keepdims = 0>(g)"
    ends = {"START": np.array([start]), "END": np.array([-(2**62)]), "M": np.array([-1])}
    data = parse(body, V=np.array([0, 0, 0]), **ends)
    for runtime in (None, run_alone):
        assert prove(data, "C4", runtime=runtime).outcome == "NOT PROVED"


def test_a_runtime_that_computes_other_constants_stops_the_proof() -> None:
    body = "k = Add(A, A) m = Mul(x, k) y = ReduceMax<axes = [1, 2, 3], keepdims = 0>(m)"
    data = parse(body, A=np.float32(1))
    assert prove(data, "C4", runtime=run_alone).outcome == "PROVED"
    proof = prove(data, "C4", runtime=lambda model, feeds: [np.float32(2.0000002)])
    assert "something else" in proof.reasons[0]


def test_a_constant_out_of_range_is_not_cast() -> None:
    for value in [300.0, -1.0, np.nan]:
        body = "i = Cast<to = 2>(A) f = Cast<to = 1>(i) m = Mul(x, f)"
        body += " y = ReduceMax<axes = [1, 2, 3], keepdims = 0>(m)"
        assert prove(parse(body, A=np.float32(value)), "C4").outcome == "NOT PROVED"


# --- outputs ----------------------------------------------------------------------------------


def test_a_file_without_outputs_is_refused() -> None:
    data = parse("y = Relu(x)", outputs="")
    assert prove(data, "C4").reasons == (
        "The file has no output, so that there is nothing to prove.",
    )


def test_an_output_that_is_no_answer_for_each_image_is_refused() -> None:
    body = "c = Concat<axis = 0>(x, x) m = GlobalMaxPool(c) y = Flatten(m)"
    assert prove(parse(body, outputs="float[a,b] y"), "C4").outcome == "NOT PROVED"
    assert prove(parse("y = Identity(A)", A=np.ones(3, np.float32)), "C4").outcome == "NOT PROVED"


# --- what a last bit becomes ------------------------------------------------------------------


def test_a_slice_that_names_no_axes_cuts_the_first_ones() -> None:
    half = np.array([1, 4, 8])
    body = (
        "s = Shape(x) N = Slice(s, ZERO, ONE, ZERO) e = Concat<axis = 0>(N, HALF)"
        " b = Concat<axis = 0>(x, x) c = Slice(b, STARTS, e)"
        " y = ReduceMax<axes = [1, 2, 3], keepdims = 0>(c)"
    )
    data = parse(body, HALF=half, STARTS=np.zeros(4, np.int64))
    assert claims(data).outcome == "NOT PROVED"


@pytest.mark.parametrize("shape", ["<start = 1>", "<end = 0>", "<start = -9, end = -1>"])
def test_the_shape_of_sizes_may_be_a_part_of_it(shape: str) -> None:
    """Shape of [N, 1, 4, 4] is [4], and a part of that is nothing."""
    body = f"s = Shape(x) k = Shape{shape}(s) c = Concat<axis = 0>(k, ZERO) i = Gather(c, ZERO)"
    body += " z = ReduceMax(x, AXES) e = Expand(z, SIDES) p = Mul(x, PIXEL)"
    body += " b = Concat<axis = 1>(p, e, e, e, e) w = Gather<axis = 1>(b, i)"
    body += " y = ReduceMax<keepdims = 0>(w, AXES)"
    pixel = np.zeros((1, 1, 4, 4), np.float32)
    pixel[0, 0, 0, 1] = 1
    data = parse(body, "float[N,1,4,4] x", opset=18, SIDES=np.array([1, 1, 4, 4]), PIXEL=pixel)
    assert claims(data).outcome == "NOT PROVED"


EMPTY = np.zeros(0, np.int64)


@pytest.mark.parametrize(
    ("squeezed", "opset"),
    [("q = Squeeze(x, NONE)", 17), ("q = Squeeze<axes: ints = []>(x)", 11)],
    ids=["input", "attribute"],
)
def test_a_squeeze_of_no_axes_is_refused(squeezed: str, opset: int) -> None:
    """Of it, onnxruntime leaves out every axis of length 1: here row 0 is picked, no channel."""
    body = f"{squeezed} g = Gather<axis = 1>(q, ZERO) f = Flatten(g)"
    body += " y = ReduceMax<axes = [1], keepdims = 0>(f)"
    proof = claims(parse(body, "float[N,1,4,4] x", opset=opset, NONE=EMPTY))
    assert proof.obstacle is not None and "names no axis" in proof.obstacle.reason


def test_a_squeeze_of_no_axes_is_refused_of_constants_and_of_sizes() -> None:
    mask = "k = Squeeze(MASK, NONE) e = Expand(k, SIDES) w = Mul(x, e)"
    sizes = "s = Shape(x) u = Unsqueeze(s, ZERO) t = Squeeze(u, NONE) w = Reshape(x, t)"
    for body in (mask, sizes):
        body += " y = ReduceMax<axes = [1, 2, 3], keepdims = 0>(w)"
        given = {"MASK": np.ones((4, 1), np.float32), "SIDES": np.array([1, 1, 4, 4])}
        proof = prove(parse(body, "float[N,1,4,4] x", NONE=EMPTY, **given), "C4")
        assert proof.obstacle is not None and "names no axis" in proof.obstacle.reason


def test_a_sum_that_is_scaled_by_zero_may_be_minus_zero_or_no_number() -> None:
    """Scaling comes after the sum: 0 times what is negative, or not finite, is not 0.0."""
    large = np.float32(3e38) * np.array([[1, -1] * 32], np.float32)
    for weights, factors in product(
        [np.array([[1, -1] * 32], np.float32), large], ["alpha = 0.0", "alpha = 0.0, beta = 2.0"]
    ):
        body = f"f = Flatten(i) y = Gemm<{factors}, transB = 1>(f, WEIGHTS)"
        body = "i = Cast<to = 1>(x) " + body
        data = parse(body, "uint8[N,1,8,8] x", outputs="float[a,b] y", WEIGHTS=weights)
        proof = claims(data)
        assert (proof.outcome, proof.arithmetic) == ("PROVED", "float")


def test_what_is_divided_by_a_rounded_number_need_not_be_whole() -> None:
    """1 / (1 / 91) is 91 in doubles, and 11 / (1 / 91) is not 1001."""
    body = "d = Cast<to = 11>(x) e = Mul(d, ELEVEN) q = Div(e, PART)"
    body += " y = ReduceSum<keepdims = 0>(q, AXES)"
    pixels = [238, 43, 24, 29, 185, 248, 237, 169, 247, 222, 4, 26, 220, 16, 251, 210, 244, 89]
    pixels += [33, 129, 248, 90, 227, 95, 209]
    image = np.array(pixels, np.uint8).reshape(1, 1, 5, 5)
    for part, exact in ((1 / 91, False), (0.25, True)):
        given = {"ELEVEN": np.float64(11), "PART": np.float64(part)}
        data = parse(body, "uint8[N,1,5,5] x", "double[a] y", 18, **given)
        runs = answers(data, image, optimised=False)
        assert runs is not None
        assert (len({run[0].tobytes() for run in runs[:4]}) == 1) == exact
        assert claims(data).exact_bits == exact


@pytest.mark.parametrize("axes", [[1, -3], [-3, 1, 1]])
def test_an_axis_that_is_named_twice_is_not_followed(axes: list[int]) -> None:
    """The one that is left would be taken for the axis of the batch, or that for another."""
    body = (
        "p = ReduceMax<axes = [2, 3]>(x) t = Transpose<perm = [1, 2, 0, 3]>(p)"
        f" r = ReduceMax<axes = {axes}, keepdims = 0>(t) y = ReduceMax<axes = [1]>(r)"
    )
    data = parse(body, inputs="float[N,2,8,8] x", outputs="float[a,b,c] y", opset=13)
    proof = claims(data)
    assert proof.outcome == "NOT PROVED" and "twice" in proof.reasons[0]


def test_what_makes_more_of_a_last_bit_is_named() -> None:
    for op, effect in [
        ("Floor(g)", "step"),
        ("Round(g)", "step"),
        ("Sign(g)", "step"),
        ("Mod<fmod = 1>(g, K)", "step"),
        ("QuantizeLinear(g, K)", "step"),
        ("Reciprocal(g)", "steep"),
        ("Log(g)", "steep"),
        ("Celu<alpha = -0.5>(g)", "steep"),
        ("InstanceNormalization(g, S, S)", "steep"),
    ]:
        body = f"g = GlobalAveragePool(x) n = {op} c = Cast<to = 1>(n) y = Flatten(c)"
        given = {"K": np.float32(0.1), "S": np.ones(1, np.float32)}
        proof = claims(parse(body, outputs="float[a,b] y", **given))
        assert (proof.outcome, proof.exact_bits) == ("PROVED", False)
        assert [(step.op, step.effect) for step in proof.steps] == [
            (op.split("(")[0].split("<")[0], effect)
        ]
        assert any("A last bit" in reason for reason in proof.reasons)


def test_pooling_between_quantisers_is_not_taken_for_a_sum_of_integers() -> None:
    body = "q = QuantizeLinear(x, S, Z) d = DequantizeLinear(q, S, Z) m = GlobalAveragePool(d)"
    body += " r = QuantizeLinear(m, S, Z) e = DequantizeLinear(r, S, Z)"
    body += " y = ReduceMax<axes = [1, 2, 3], keepdims = 0>(e)"
    data = parse(body, S=np.float32(1 / 255), Z=np.uint8(0))
    proof = claims(data)
    assert proof.arithmetic == "float"
    assert [step.op for step in proof.steps] == ["QuantizeLinear"]


QUANTISE = "q = QuantizeLinear(x, S, Z)"
SUM = "d = DequantizeLinear(q, S, Z) e = DequantizeLinear(w, S) c = Conv<pads = [1, 1, 1, 1]>(d, e)"
OUT = " r = QuantizeLinear(c, T, Z) h = DequantizeLinear(r, T, Z)"
END = " y = ReduceMax<axes = [1, 2, 3], keepdims = 0>"
BIASED = "b = DequantizeLinear(bias, U) " + SUM.replace("(d, e)", "(d, e, b)")
CLIPPED = " k = Clip(c, LOW) r = QuantizeLinear(k, T, Z) h = DequantizeLinear(r, T, Z)"
DENSE = (
    "f = Flatten(x) q = QuantizeLinear(f, S, Z) d = DequantizeLinear(q, S, Z)"
    " e = DequantizeLinear(v, S{zero}) c = Gemm{how}(d, e{bias})"
    " r = QuantizeLinear(c, T, Z) h = DequantizeLinear(r, T, Z)"
    " y = ReduceMax<axes = [1], keepdims = 0>(h)"
)


@pytest.mark.parametrize("zero", [np.int8(3), np.uint8(3)])
@pytest.mark.parametrize(
    ("body", "unit", "signed"),
    [
        (f"{QUANTISE} {SUM} {OUT} {END}(h)", 1.0, True),
        (f"{QUANTISE} {BIASED} {OUT} {END}(h)", 0.01, True),
        (f"{QUANTISE} {BIASED} {OUT} {END}(h)", 0.02, None),
        (f"q = Identity(x) {SUM} {OUT} {END}(h)", 1.0, False),
        (f"{QUANTISE} {SUM.replace('(q, S, Z)', '(q, S, P)')} {OUT} {END}(h)", 1.0, False),
        (f"{QUANTISE} {SUM} {OUT.replace('(r, T, Z)', '(r, T)')} {END}(h)", 1.0, False),
        (f"{QUANTISE} {SUM} {CLIPPED} {END}(h)", 1.0, True),
        (f"{QUANTISE} {SUM} {CLIPPED.replace(', T, Z)', ', T)')} {END}(h)", 1.0, None),
        (f"{QUANTISE} {SUM} {CLIPPED.replace('T', 'ROW')} {END}(h)", 1.0, None),
        (f"{QUANTISE} {SUM} k = Relu(d) {OUT} j = Concat<axis = 1>(k, h) {END}(j)", 1.0, False),
        (f"{QUANTISE} {SUM} r = QuantizeLinear(c, T, Z) h = Cast<to = 1>(r) {END}(h)", 1.0, False),
        (DENSE.format(zero="", how="", bias=""), 1.0, None),
        (DENSE.format(zero=", O", how="", bias=""), 1.0, True),
        (
            "b = DequantizeLinear(bias, U) "
            + DENSE.format(zero=", O", how="<beta = 0.5>", bias=", b"),
            0.01,
            None,
        ),
    ],
)
def test_integers_are_said_to_be_summed_only_where_onnxruntime_sums_them(
    body: str, unit: float, signed: bool | None, zero: Any, tmp_path: Path
) -> None:
    """Signed bytes only where quantising and dequantising them is all that is done to them."""
    summed = signed is not None and (signed or zero.dtype == np.uint8)
    kind = zero.dtype.name if "Identity" in body else "float"
    step = np.float32(0.1)
    data = parse(
        body,
        inputs=f"{kind}[N,1,6,6] x",
        w=np.ones((1, 1, 3, 3), np.int8),
        v=np.ones((36, 1), np.int8),
        bias=np.array([7], np.int32),
        S=step,
        T=np.float32(0.5),
        Z=zero,
        P=zero + zero,
        ROW=np.array([0.5], np.float32),
        LOW=np.float32(-1000),
        O=np.int8(0),
        U=step * step if unit == 0.01 else np.float32(unit),
    )
    assert prove(data, "C4", runtime=run_alone).arithmetic == ("quantised" if summed else "float")
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    onnxruntime.InferenceSession(data, options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(tmp_path / "optimised.onnx").graph.node
    assert summed == {node.op_type for node in nodes}.isdisjoint({"Conv", "FusedConv", "Gemm"})


@pytest.mark.parametrize("replaceable", ["S", "U", "T"])
def test_integers_are_not_said_to_be_summed_in_units_that_a_caller_may_replace(
    replaceable: str,
) -> None:
    body = f"{QUANTISE} {BIASED} {CLIPPED} {END}(h)"
    constants: dict[str, Any] = {
        "w": np.ones((1, 1, 3, 3), np.int8),
        "bias": np.array([7], np.int32),
        "S": np.float32(0.1),
        "U": np.float32(0.1) * np.float32(0.1),
        "T": np.float32(0.5),
        "Z": np.uint8(3),
        "LOW": np.float32(-1000),
    }
    shapes = "float[N,1,6,6] x"
    assert prove(parse(body, shapes, **constants), runtime=run_alone).arithmetic == "quantised"
    data = parse(body, f"{shapes}, float {replaceable}", **constants)
    assert prove(data, runtime=run_alone).arithmetic == "float"


def test_the_bits_of_a_float_are_those_of_its_type() -> None:
    """Of 8 x 8 pixels of up to 255: the sum needs 14 bits, which bfloat16 and half lack."""
    for kind, exact in [(1, True), (16, False), (10, False)]:
        body = f"f = Cast<to = {kind}>(x) r = ReduceSum<keepdims = 0>(f, AXES) y = Cast<to = 1>(r)"
        assert claims(parse(body, "uint8[N,1,8,8] x")).exact_bits == exact


# --- limits -----------------------------------------------------------------------------------


def test_what_a_type_rounds_up_counts_in_a_sum_of_whole_numbers() -> None:
    """Up to 263 by 8 bits are up to 264: 63,654 of them need more than 24 bits."""
    body = (
        "f = Cast<to = 1>(x) a = Add(f, EIGHT) b = Cast<to = {kind}>(a) c = Cast<to = 1>(b)"
        " s = ReduceSum<keepdims = 0>(c, AXES) y = Identity(s)"
    )
    for kind, exact in ((TensorProto.BFLOAT16, False), (TensorProto.FLOAT, True)):
        given = {"EIGHT": np.float32(8)}
        data = parse(body.format(kind=kind), inputs="uint8[N,6,103,103] x", **given)
        assert prove(data, "C4", runtime=run_alone).exact_bits == exact


@pytest.mark.parametrize(
    ("kind", "steps"), [("FLOAT8E4M3FN", 1), ("FLOAT8E5M2", 1), ("BFLOAT16", 0), ("FLOAT16", 0)]
)
def test_a_type_of_a_few_bits_makes_a_step_of_a_last_one(kind: str, steps: int) -> None:
    to = TensorProto.DataType.Value(kind)
    body = f"g = GlobalAveragePool(x) c = Cast<to = {to}>(g) f = Cast<to = 1>(c) y = Flatten(f)"
    proof = claims(parse(body, outputs="float[a,b] y", opset=19))
    assert (proof.outcome, len(proof.steps)) == ("PROVED", steps)


def test_what_would_be_too_large_is_never_built() -> None:
    for body, inputs in [
        ("y = Tile(x, R)", "float[N,1,8,8] x"),
        ("k = ConstantOfShape(R) y = Mul(x, k)", "float[N,1,8,8] x"),
        ("y = Identity(x)", "float[3,1099511627776,8,8] x"),
        ("y = Expand(x, E)", "float[N,1,8,8] x"),
    ]:
        data = parse(
            body,
            inputs,
            "float[a,b,c,d] y",
            R=np.array([1, 10**6, 10**6, 1]),
            E=np.array([1, 10**8, 8, 8]),
        )
        with pytest.raises(ProofLimitError, match="MiB"):
            prove(data, "C4")


def test_a_proof_ends_when_its_time_is_up() -> None:
    names = ["x", *(f"t{k}" for k in range(2000))]
    nodes = [helper.make_node("Relu", [a], [b]) for a, b in pairwise(names)]
    kinds = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, ["N", 1, 8, 8])
        for name in ("x", names[-1])
    ]
    graph = helper.make_graph(nodes, "chain", kinds[:1], kinds[1:])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    with pytest.raises(ProofLimitError, match=r"0\.001 s"):
        prove(model.SerializeToString(), "C4", limits=Limits(seconds=0.001))


def test_functions_within_functions_are_counted_before_they_are_written_out() -> None:
    parts = ['<domain: "own", opset_import: ["" : 17]> L0 (X) => (Y) { Y = Relu(X) }']
    parts += [
        f'<domain: "own", opset_import: ["" : 17, "own" : 1]> L{level} (X) => (Y)'
        f" {{ A = own.L{level - 1}(X) Y = own.L{level - 1}(A) }}"
        for level in range(1, 30)
    ]
    data = parse("y = own.L29(x)", outputs="float[a,b,c,d] y", functions="\n".join(parts))
    with pytest.raises(ProofLimitError, match="functions"):
        prove(data, "C4")


def test_a_last_bit_of_a_large_angle_may_be_a_whole_turn() -> None:
    for op, (scale, steps) in product(["Sin", "Cos"], [(0.3, []), (0.3e5, ["steep"])]):
        text = f"""<ir_version: 8, opset_import: ["" : 17]>
        g (uint8[N,1,6,6] image) => (float[N,1] logits)
        <float k = {{{scale}}}> {{
          a = Cast<to = 1>(image) c = Mul(a, k) b = GlobalAveragePool(c) d = {op}(b)
          logits = Flatten(d)
        }}"""
        proof = prove(onnx.parser.parse_model(text).SerializeToString(), "C4")
        assert (proof.outcome, proof.arithmetic) == ("PROVED", "float")
        assert [step.effect for step in proof.steps] == steps
