"""Constants of several nodes, and sizes, of which onnxruntime makes others: none is proved.

Each is where a Slice begins. As the file says it is 0, and nothing is cut off; in onnxruntime it is
1 or more, and the maximum is that of a part of the image.
"""

from typing import Any

import numpy as np
import pytest

from artifact.session import run_both_ways
from audit.proof import ProofLimitError, prove
from tests.audit.fuzz.judge import answers, run_alone, same_bits
from tests.audit.test_proof_cases import parse
from tests.audit.test_proof_fusions import deviate

_CUT = "z = Slice(x, o, END, ROWS) y = ReduceMax<axes = [1, 2, 3], keepdims = 0>(z)"
_ROWS = "s = Shape<start = 2, end = 3>(x)"
_FLOAT = f"{_ROWS} f = Cast<to = 1>(s)"
_PLANE = "p = Shape<start = 2, end = 4>(x)"

_NUMBERS: dict[str, Any] = {
    "END": np.array([2**31]),
    "ROWS": np.array([2]),
    "PAIR": np.array([2]),
    "PAIRS": np.array([2]),
    "SIX": np.array([6]),
    "TEN": np.array([10]),
    "UNIT": np.ones(1, np.float32),
    "PRIME": np.float32([41]),
    "EIGHT": np.float32([8]),
    "DOWN": np.float32([-1]),
    "NIL": np.zeros(1, np.float32),
    "MANY": np.float16([2048]),
    "MORE": np.float16([1]),
}


def _cut(start: str) -> bytes:
    return parse(f"{start} {_CUT}", **_NUMBERS)


@pytest.mark.parametrize("runtime", [run_alone, run_both_ways])
@pytest.mark.parametrize(
    "start",
    [
        "i = Div(ONE, PAIR) o = Mul(i, SIX)",
        "i = Div(UNIT, PRIME) m = Mul(i, PRIME) l = Floor(m) o = Cast<to = 7>(l)",
        f"{_FLOAT} g = Sub(f, EIGHT) m = Mul(g, DOWN) i = Add(m, NIL) k = Reciprocal(i)"
        " b = Less(k, NIL) o = Cast<to = 7>(b)",
        "h = Add(MANY, MORE) g = Sub(h, MANY) o = Cast<to = 7>(g)",
    ],
)
def test_constants_that_onnxruntime_computes_otherwise_all_at_once_are_refused(
    start: str, runtime: Any
) -> None:
    """(1 / 2) 6 becomes 6 / 2, and 1 / 41 times 41 41 / 41; x + 0 keeps -0.0; halves are floats."""
    data = _cut(start)
    assert deviate(data)
    proof = prove(data, runtime=runtime)
    assert proof.outcome == "NOT PROVED"
    assert "by several nodes" in proof.reasons[0]


@pytest.mark.parametrize("runtime", [run_alone, run_both_ways])
@pytest.mark.parametrize(
    "start",
    [
        "i = Div(SIX, PAIR) l = Add(ROWS, ONE) o = Sub(i, l)",
        f"{_FLOAT} g = Sub(f, EIGHT) m = Abs(g) k = Reciprocal(m) b = Less(k, NIL)"
        " o = Cast<to = 7>(b)",
        "n = Shape(x) i = Slice(n, ZERO, ONE, ZERO) m = Mul(i, PAIR) d = Div(m, PAIR)"
        " c = Concat<axis = 0>(d, SIX) e = Reshape(c, PAIRS) l = Gather<axis = 0>(e, ONE)"
        " k = Squeeze(l, ZERO) q = Sub(k, SIX) o = Abs(q)",
    ],
)
def test_constants_that_are_the_same_all_at_once_are_followed(start: str, runtime: Any) -> None:
    data = _cut(start)
    assert not deviate(data)
    assert prove(data, runtime=runtime).outcome == "PROVED"


@pytest.mark.parametrize(
    ("sizes", "more"),
    [
        (f"{_ROWS} b = Cast<to = 9>(s) i = Cast<to = 7>(b)", "o = Sub(n, ONE)"),
        (f"{_PLANE} q = Size(p) i = Unsqueeze(q, ZERO)", "m = Sub(n, PAIR) o = Div(m, TEN)"),
        (
            "w = Shape<start = 1, end = 3>(x) u = Unsqueeze(w, ONE) i = Squeeze(u, ONE)",
            "o = Sub(n, ONE)",
        ),
    ],
)
def test_sizes_of_which_onnxruntime_infers_others_shape_nothing(sizes: str, more: str) -> None:
    """It knows 8 where a Cast to bool gives 1, and takes the size of two sides for 64."""
    inferred = f"{sizes} v = ConstantOfShape(i) n = Shape<start = 0, end = 1>(v) {more}"
    proof = prove(_cut(inferred), runtime=run_alone)
    assert proof.outcome == "NOT PROVED"
    assert "infers another" in proof.reasons[0]
    plain = f"{_ROWS} v = ConstantOfShape(s) n = Shape<start = 0, end = 1>(v) o = Sub(n, s)"
    assert prove(_cut(plain), runtime=run_alone).outcome == "PROVED"


def test_a_size_that_is_misinferred_cuts_the_image() -> None:
    inferred = f"{_PLANE} q = Size(p) i = Unsqueeze(q, ZERO) v = ConstantOfShape(i)"
    inferred += " n = Shape<start = 0, end = 1>(v) m = Sub(n, PAIR) o = Div(m, TEN)"
    assert deviate(_cut(inferred))
    assert not deviate(_cut(inferred), optimised=False)


_FLIPPED = """s@ = Shape(r<) h@ = Gather(s@, TWO) l@ = Add(h@, LESS) q@ = Range(l@, {0}, LESS)
    t@ = Transpose<perm = [0, 1, 3, 2]>(r<) r@ = Gather<axis = 2>(t@, q@)"""


def _rotated_by(limit: str) -> bytes:
    rotations = " ".join(
        _FLIPPED.format(limit).replace("@", str(k)).replace("<)", f"{k - 1})") for k in (1, 2, 3)
    )
    sums = " ".join(
        f"c{k} = ReduceSum(r{k}, ROWS) g{k} = Slice(c{k}, ZERO, ONE, COLUMNS)"
        f" f{k} = ReduceSum<keepdims = 0>(g{k}, AXES)"
        for k in range(4)
    )
    body = f"r0 = Relu(x) {rotations} {sums} a = Add(f0, f1) b = Add(a, f2) y = Add(b, f3)"
    numbers: dict[str, Any] = {"TWO": np.int64(2), "LESS": np.int64(-1), "COLUMNS": np.array([3])}
    return parse(body, **_NUMBERS, **numbers)


def test_entries_picked_by_a_range_that_runs_backwards_are_refused() -> None:
    """onnxruntime writes this as a Slice, from the last row to the last one: there is none."""
    data = _rotated_by("LESS")
    assert deviate(data)
    assert not deviate(data, optimised=False)
    proof = prove(data, runtime=run_alone)
    assert proof.outcome == "NOT PROVED"
    assert "by a range" in proof.reasons[0]


def test_an_optimisation_that_ends_the_process_is_not_tried() -> None:
    """Of 1 / x times y onnxruntime makes y / x, and divides the least integer by -1."""
    least = np.array([-(2**63)])
    data = parse(
        f"i = Div(ONE, BACK) o = Mul(i, LEAST) {_CUT}", **_NUMBERS, BACK=np.array([-1]), LEAST=least
    )
    assert prove(data, runtime=run_both_ways).outcome == "NOT PROVED"


def test_inverses_of_integers_are_refused() -> None:
    """Each of them is 0, and what onnxruntime divides by is not the same all over."""
    body = "i = Cast<to = 7>(x) k = Div(ONE, BY) z = Mul(i, k) f = Cast<to = 1>(z)"
    body += " y = ReduceSum<keepdims = 0>(f, AXES)"
    drawn = np.random.default_rng(0)
    for divisors, outcome in (
        (drawn.integers(2, 9, (1, 1, 8, 8)), "NOT PROVED"),
        (np.ones((1, 1, 8, 8), np.int64), "PROVED"),
    ):
        data = parse(body, "uint8[N,1,8,8] x", BY=divisors)
        proof = prove(data, runtime=run_alone)
        assert proof.outcome == outcome
        images = drawn.integers(0, 256, (20, 1, 8, 8)).astype(np.uint8)
        runs = answers(data, images, optimised=True)
        assert runs is not None
        assert same_bits(runs[0][0], runs[1][0]) == (outcome == "PROVED")


def test_halves_that_are_computed_of_sizes_are_refused_where_they_are_rounded() -> None:
    """onnxruntime multiplies by what is there before it is rounded."""
    body = f"{_FLOAT} q = Div(f, EIGHT) w = Mul(NEAR, q) k = Cast<to = 10>(w) h = Cast<to = 10>(x)"
    body += " p = Sub(h, MANY) u = Add(p, k) v = Cast<to = 1>(u)"
    body += " y = ReduceMax<axes = [1, 2, 3], keepdims = 0>(v)"
    near = np.random.default_rng(0).uniform(2048, 2048.9, (1, 1, 8, 8)).astype(np.float32)
    data = parse(body, **_NUMBERS, NEAR=near)
    assert deviate(data)
    assert "half precision" in prove(data, runtime=run_alone).reasons[0]
    whole = parse(body, **_NUMBERS, NEAR=np.full_like(near, 2050))
    assert not deviate(whole)
    assert prove(whole, runtime=run_alone).outcome == "PROVED"


def test_a_batch_that_no_memory_holds_is_beyond_the_limits() -> None:
    body = f"n = Shape(x) i = Slice(n, ROWS, THREE, ZERO) l = Add(i, ONE) k = Mul(l, PAIR) {_CUT}"
    body = body.replace("z = Slice(x, o", "o = Sub(k, EIGHTEEN) z = Slice(x, o")
    numbers = {**_NUMBERS, "THREE": np.array([3]), "EIGHTEEN": np.array([18])}
    few = parse(body, "float[4,1,8,8] x", **numbers)
    assert prove(few, runtime=run_alone).outcome == "PROVED"
    with pytest.raises(ProofLimitError):
        prove(parse(body, f"float[{2**40},1,8,8] x", **numbers), runtime=run_alone)
