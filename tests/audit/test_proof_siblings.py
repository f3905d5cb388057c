"""Siblings of the files that were proved once and are not invariant, besides test_proof_cases.py.

Each is refused or has lost the claim; what is proved of it, nothing that runs may contradict.
"""

import re
from itertools import product
from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from audit.proof import Proof
from tests.audit.fuzz.judge import answers, judge, same_bits
from tests.audit.operator_graphs import proof_of

pytestmark = pytest.mark.filterwarnings("ignore")
Array = NDArray[Any]
COUNT = "s = Shape(image) n = Slice(s, ZERO, ONE, ZERO) x = Cast<to = 1>(image) "
FLOATS = "x = Cast<to = 1>(image) "
LARGEST = " y = ReduceMax<keepdims = 0>(w, AXES)"
FACTOR = " f = Cast<to = 1>(k) w = Mul(x, f)" + LARGEST
MASK = np.ones((1, 1, 8, 8), np.float32)
MASK[0, 0, 0, 1] = 0
GIVEN = {
    "ZERO": np.array([0]),
    "ONE": np.array([1]),
    "TWO": np.array([2]),
    "MINUS": np.array([-1]),
    "AXES": np.array([1, 2, 3]),
    "HALF": np.float32(0.5),
    "MASK": MASK,
    "ONES": np.ones((1, 1, 8, 8), np.float32),
}


def build(
    body: str, kind: str = "uint8[N,1,8,8]", output: str = "float[a]", opset: int = 18, **more: Any
) -> bytes:
    text = f'<ir_version: 10, opset_import: ["" : {opset}]>'
    model = onnx.parser.parse_model(f"{text} g ({kind} image) => ({output} y) {{ {body} }}")
    for name, value in {**GIVEN, **more}.items():
        if re.search(rf"\b{name}\b", body):
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return bytes(model.SerializeToString())


class ProvedError(AssertionError):
    """More was claimed than holds: a failure that a test may expect, and no other."""


def refuse(claimed: bool) -> None:
    if claimed:
        raise ProvedError("what deviates")


def judged(data: bytes) -> Proof:
    """Prove, and see that nothing that runs contradicts it."""
    found = judge(onnx.load_model_from_string(data))
    assert found.finding in ("sound", "not run"), found
    return proof_of(data)


# --- the batch is no number -------------------------------------------------------------------

BATCH = {
    "Where": "t = Greater(n, TWO) w = Where(t, x, HALF)" + LARGEST,
    "Mod": "i = Cast<to = 7>(image) k = Mod(i, n)" + FACTOR,
    "Range": "q = Squeeze(n, ZERO) r = Range(Z, q, O) k = ReduceMax(r)" + FACTOR,
    "Pad": "p = Concat<axis = 0>(ZERO, ZERO, n, ZERO, ZERO, ZERO, ZERO, ZERO) w = Pad(x, p)"
    + LARGEST,
    "Resize": "p = Concat<axis = 0>(n, ONE, n, n) w = Resize(x, , , p)" + LARGEST,
    "Min": "i = Cast<to = 7>(image) k = Min(i, n)" + FACTOR,
    "Max": "i = Cast<to = 7>(image) k = Max(i, n)" + FACTOR,
    "CumSum": "q = Squeeze(n, ZERO) w = CumSum(x, q)" + LARGEST,
    "Gather": "k = Gather(TABLE, n)" + FACTOR,
    "Size": "k = Size(image)" + FACTOR,
    "Less": "k = Less(n, TWO)" + FACTOR,
    "Neg": "k = Neg(n)" + FACTOR,
    "Equal": "m = Add(n, MINUS) k = Equal(m, ZERO)" + FACTOR,
    "Reshape": "l = Flatten(x) t = Concat<axis = 0>(MINUS, n) g = Reshape(l, t)"
    " y = ReduceMax<keepdims = 0>(g, ONE)",
    "TopK": "l = Flatten(x) v, k = TopK(l, n) y = ReduceMax<keepdims = 0>(v, ONE)",
}


def test_nothing_computes_with_the_batch() -> None:
    for name in BATCH:
        more = {"Z": np.int64(0), "O": np.int64(1), "TABLE": np.arange(99, dtype=np.float32)}
        assert judged(build(COUNT + BATCH[name], **more)).outcome == "NOT PROVED"


PICKED = " k = Where(e, MASK, ONES) w = Mul(x, k)" + LARGEST
WRAPPED = {
    "cast to 32 bits": "m = Mul(n, WIDE) j = Cast<to = 6>(m) e = Equal(j, ZERO32)",
    "product": "m = Mul(n, HUGE) o = Mul(m, FOUR) e = Equal(o, ZERO)",
    "product in 32 bits": "j = Cast<to = 6>(n) m = Mul(j, HALF32) o = Mul(m, HALF32)"
    " e = Equal(o, ZERO32)",
    "sum": "m = Add(n, LAST) e = Equal(m, FIRST)",
    "nothing, but meets": "m = Mul(n, TWO) o = Add(n, ONE) e = Equal(m, o)",
}
INTEGERS = {
    "WIDE": np.array([2**33]),
    "HUGE": np.array([2**62]),
    "FOUR": np.array([4]),
    "FIRST": np.array([-(2**63)]),
    "LAST": np.array([2**63 - 1]),
    "ZERO32": np.array([0], np.int32),
    "HALF32": np.array([2**16], np.int32),
}


def deviates(data: bytes, images: Array) -> bool:
    runs = answers(data, images, optimised=False)
    if runs is None:
        raise ValueError("The file does not run.")
    return not same_bits(runs[0][0], runs[1][0])


def test_what_is_computed_from_the_batch_may_wrap_around() -> None:
    """What is taken for unequal is equal when it runs, and picks a mask."""
    for name in WRAPPED:
        data = build(COUNT + WRAPPED[name] + PICKED, **INTEGERS)
        hot = np.zeros((1, 1, 8, 8), np.uint8)
        hot[0, 0, 0, 1] = 255  # where the mask is 0
        assert deviates(data, hot)
        refuse(proof_of(data).outcome == "PROVED")


def test_images_of_a_fixed_batch_do_not_meet() -> None:
    for batch in [1, 2, 4]:
        body = "g = Reshape(x, T) t = Transpose<perm = [1, 0]>(g) q = Reshape(t, B)"
        body += " y = ReduceMax<keepdims = 0>(q, ONE)"
        sides = {"T": np.array([64, batch]), "B": np.array([batch, 64])}
        assert (
            judged(build(FLOATS + body, f"uint8[{batch},1,8,8]", **sides)).outcome == "NOT PROVED"
        )


# --- order, bits and types --------------------------------------------------------------------

UNORDERED = {
    "Max": "w = Max(v, HALF)" + LARGEST,
    "Min": "w = Min(v, HALF)" + LARGEST,
    "Clip": "w = Clip(v, HALF)" + LARGEST,
    "of two": "u = Neg(v) w = Max(v, u)" + LARGEST,
    "TopK": "l = Flatten(v) t, k = TopK(l, ONE) y = ReduceMax<keepdims = 0>(t, ONE)",
    "ArgMax": "c = GlobalMaxPool(v) d = Concat<axis = 1>(c, c) e = Flatten(d)"
    " a = ArgMax<axis = 1, keepdims = 0>(e) y = Cast<to = 1>(a)",
}


def test_no_bits_are_claimed_where_nan_are_ordered() -> None:
    for first, name in product(
        ["d0 = Sub(x, HALF) v = Sqrt(d0) ", "d0 = Div(x, x) v = Neg(d0) "], UNORDERED
    ):
        assert not judged(build(FLOATS + first + UNORDERED[name])).exact_bits


SIGNED = "d = Sub(image, HALF) c = Ceil(d) e = Clip(c, LOW, HIGH) "
INVERTED = " v = ReduceMax<keepdims = 0>(w, AXES) y = Reciprocal(v)"


def test_no_bits_are_claimed_where_zeros_of_both_signs_are_ordered() -> None:
    """x + -0.0 is -0.0 where x is, so that zeros of both signs reach the maximum."""
    for middle in [
        "w = Identity(e)",
        "w = Sub(e, HIGH)",
        "w = Sub(MINUS_ZERO, e)",
        "w = Mul(e, ONEF)",
        "w = Add(e, e)",
        "w = Sum(e, MINUS_ZERO)",
        "w = Add(e, MINUS_ZERO)",
        "w = Add(MINUS_ZERO, e)",
    ]:
        ends = {"LOW": np.float32(-1), "HIGH": np.float32(0), "MINUS_ZERO": np.float32(-0.0)}
        data = build(SIGNED + middle + INVERTED, "float[N,1,8,8]", ONEF=np.float32(1), **ends)
        images = np.random.default_rng(0).choice(np.array([0.25, 0.5], np.float32), (99, 1, 8, 8))
        assert deviates(data, images)
        refuse(proof_of(data).exact_bits)


def test_wide_integers_are_told_apart_to_the_last_bit() -> None:
    for dtype, op in product([np.int64, np.uint64], ["Add", "Sub", "Mul", "Div", "Equal"]):
        wide = np.full((1, 1, 8, 8), 2**53, dtype)
        wide[0, 0, 0, 0] += 1
        body = (
            f"i = Cast<to = {7 if dtype is np.int64 else 13}>(image) j = Add(i, K) k = {op}(j, B)"
        )
        body += " w = Cast<to = 1>(k)" + LARGEST
        assert judged(build(body, B=wide, K=dtype(2**53))).outcome == "NOT PROVED"


QUANTISED = {
    "AveragePool<kernel_shape = [3, 3]>(d)": "float",
    "GlobalAveragePool(d)": "float",
    "Softmax<axis = 1>(d)": "float",
    "ReduceMean(d, AXES)": "float",
    'Resize<mode = "linear">(d, , SCALES)': "float",
    "Conv(d, w8, BIAS)": "float",
    "Conv(d, w16)": "float",
    "Conv(d, w8)": "quantised",
    "Conv(d, w8, b32)": "quantised",
    "Concat<axis = 1>(d, d)": "integer",
}


def test_integers_are_claimed_only_of_what_runtimes_compute_in_integers() -> None:
    for op in QUANTISED:
        body = FLOATS.replace("x", "x0", 1) + "x = Mul(x0, S) q = QuantizeLinear(x, S, Z)"
        body += " d = DequantizeLinear(q, S, Z) w8 = DequantizeLinear(W8, S, Z8)"
        body += " w16 = DequantizeLinear(W16, S, Z16) b32 = DequantizeLinear(B32, SS)"
        body += f" v = {op} r = QuantizeLinear(v, S, Z) w = DequantizeLinear(r, S, Z)" + LARGEST
        more: dict[str, Any] = {"S": np.float32(1 / 255), "SS": np.float32(1 / 255**2)}
        more |= {"Z": np.uint8(0), "Z8": np.int8(0), "Z16": np.int16(0)}
        more |= {"W8": np.full((1, 1, 3, 3), 3, np.int8), "W16": np.full((1, 1, 3, 3), 3, np.int16)}
        more |= {"BIAS": np.array([0.3], np.float32), "B32": np.array([7], np.int32)}
        more |= {"SCALES": np.array([1, 1, 2, 2], np.float32)}
        proof = judged(build(body, opset=21, **more))
        assert (proof.outcome, proof.arithmetic) == ("PROVED", QUANTISED[op])
        assert bool(proof.steps) == (QUANTISED[op] != "integer")
