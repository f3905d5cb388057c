"""Attention that onnxruntime writes as one node: what it takes for a mask, and what a file says."""

from typing import Any, Final

import numpy as np
import pytest

from audit.proof import prove
from tests.audit.fuzz.judge import answers, run_alone
from tests.audit.test_proof_cases import parse
from tests.audit.test_proof_fusions import deviate

_WIDTH, _HEADS, _TOKENS = 8, 2, 64


def _normalised(x: str, y: str) -> str:
    return f"""m{y} = ReduceMean<axes = [-1]>({x}) d{y} = Sub({x}, m{y}) p{y} = Pow(d{y}, TWO)
        v{y} = ReduceMean<axes = [-1]>(p{y}) e{y} = Add(v{y}, EPSILON) r{y} = Sqrt(e{y})
        q{y} = Div(d{y}, r{y}) w{y} = Mul(q{y}, SCALE) {y} = Add(w{y}, SHIFT)"""


def _summed(x: str, y: str, weights: str, bias: str, width: str) -> str:
    """A Gemm of the tokens of all images, in rows, as GPT has it."""
    return f"""a{y} = Shape({x}) b{y} = Slice(a{y}, LAST, END, ZERO, ONE)
        c{y} = Squeeze<axes = [0]>(b{y}) f{y} = Unsqueeze<axes = [0]>(c{y})
        g{y} = Concat<axis = 0>(LAST, f{y}) h{y} = Reshape({x}, g{y})
        i{y} = Gemm(h{y}, {weights}, {bias}) j{y} = Shape({x}) k{y} = Gather<axis = 0>(j{y}, FIRST)
        l{y} = Unsqueeze<axes = [0]>(k{y}) n{y} = Shape({x}) o{y} = Gather<axis = 0>(n{y}, NEXT)
        s{y} = Unsqueeze<axes = [0]>(o{y}) t{y} = Concat<axis = 0>(l{y}, s{y}, {width})
        {y} = Reshape(i{y}, t{y})"""


_HEAD: Final = f"""c = Conv(x, PIXEL, SHIFT) t = Reshape(c, PLANES)
    u = Transpose<perm = [0, 2, 1]>(t) v = MatMul(u, WO) w = Add(v, SHIFT)
    {_normalised("w", "l")}"""
_SCORES: Final = """qs = Reshape(q, HEADS) qt = Transpose<perm = [0, 2, 1, 3]>(qs)
    ks = Reshape(k, HEADS) kt = Transpose<perm = [0, 2, 3, 1]>(ks)
    vs = Reshape(val, HEADS) vt = Transpose<perm = [0, 2, 1, 3]>(vs)
    qk = MatMul(qt, kt) scores = Div(qk, TWO)"""
_WEIGHED: Final = """z = MatMul(weights, vt) zt = Transpose<perm = [0, 2, 1, 3]>(z)
    joined = Reshape(zt, TOGETHER)"""
_ANSWER: Final = _normalised("all", "n") + " y = ReduceMean<axes = [1], keepdims = 0>(n)"

_BEFORE: Final = f"""{_summed("l", "qkv", "WQKV", "BQKV", "THRICE")}
    q, k, val = Split<axis = 2>(qkv) {_SCORES}
    sh1 = Shape(scores) sl1 = Slice(sh1, LAST, END, ZERO, ONE) keys = Squeeze<axes = [0]>(sl1)
    sh2 = Shape(scores) sl2 = Slice(sh2, LASTBUTONE, LAST, ZERO, ONE)
    asked = Squeeze<axes = [0]>(sl2) past = Sub(keys, asked) from = Unsqueeze<axes = [0]>(past)
    columns = Unsqueeze<axes = [0]>(keys) rows = Unsqueeze<axes = [0]>(keys)
    part = Slice(SEEN, from, rows, TWOS, ONE) whole = Slice(part, ZERO, columns, THREES, ONE)
    there = Cast<to = 9>(whole) masked = Where(there, scores, HIDDEN)
    weights = Softmax<axis = 3>(masked) {_WEIGHED}
    {_summed("joined", "last", "WO", "SHIFT", "ONCE")} all = Add(w, last)"""

_HIDDEN: Final = f"""qm = MatMul(l, WQ) q = Add(qm, SHIFT) km = MatMul(l, WK) k = Add(km, SHIFT)
    vm = MatMul(l, WO) val = Add(vm, SHIFT) {_SCORES} top = ReduceMax<axes = [1], keepdims = 0>(t)
    @ mu = Unsqueeze<axes = [1]>(mask) mv = Unsqueeze<axes = [2]>(mu) left = Sub(UNIT, mv)
    far = Mul(left, HIDDEN) masked = Add(scores, far) weights = Softmax<axis = 3>(masked)
    {_WEIGHED} om = MatMul(joined, WO) last = Add(om, SHIFT) all = Add(last, l)"""

_BACK: Final = """turned = Transpose<perm = [0, 1, 3, 2]>({0})
    back = Transpose<perm = [0, 1, 3, 2]>(turned)"""


def _network(body: str, **constants: Any) -> bytes:
    drawn = np.random.default_rng(1)

    def weights(*shape: int) -> Any:
        return drawn.standard_normal(shape).astype(np.float32)

    given: dict[str, Any] = {
        "PIXEL": weights(_WIDTH, 1, 1, 1),
        "SHIFT": weights(_WIDTH),
        "SCALE": weights(_WIDTH),
        **{name: weights(_WIDTH, _WIDTH) for name in ("WO", "WQ", "WK")},
        "WQKV": weights(_WIDTH, 3 * _WIDTH),
        "BQKV": weights(3 * _WIDTH),
        "PLANES": np.array([0, _WIDTH, _TOKENS]),
        "TWO": np.float32(2),
        "UNIT": np.float32(1),
        "HIDDEN": np.float32(-10000),
        "EPSILON": np.float32(1e-5),
        "LAST": np.array([-1]),
        "LASTBUTONE": np.array([-2]),
        "END": np.array([2**62]),
        "FIRST": np.int64(0),
        "NEXT": np.int64(1),
        "ONCE": np.array([_WIDTH]),
        "THRICE": np.array([3 * _WIDTH]),
        "TWOS": np.array([2]),
        "THREES": np.array([3]),
        **constants,
    }
    return parse(f"{_HEAD} {body} {_ANSWER}", outputs="float[a, b] y", opset=12, **given)


def _of_gpt(between: str) -> bytes:
    shapes = {"HEADS": np.array([0, 0, _HEADS, -1]), "TOGETHER": np.array([0, 0, -1])}
    body = _BEFORE.replace("weights = Softmax<axis = 3>(masked)", between)
    return _network(body, SEEN=np.ones((1, 1, 1, 1), np.uint8), **shapes)


def _of_bert(mask: str) -> bytes:
    heads = np.array([0, 0, _HEADS, _WIDTH // _HEADS])
    return _network(_HIDDEN.replace("@", mask), HEADS=heads, TOGETHER=np.array([0, 0, _WIDTH]))


def _is_rewritten(data: bytes) -> bool:
    """Whether onnxruntime makes another function of a file."""
    images = np.random.default_rng(0).standard_normal((8, 1, 8, 8)).astype(np.float32)
    written, runs = (answers(data, images, optimised=fast) for fast in (False, True))
    assert written is not None and runs is not None
    return bool(np.abs(written[0][0] - runs[0][0]).max() > 1e-3)


@pytest.mark.parametrize(
    "between",
    [
        "weights = Softmax<axis = 3>(masked)",
        f"{_BACK.format('masked')} weights = Softmax<axis = 3>(back)",
        f"soft = Softmax<axis = 3>(masked) {_BACK.format('soft')} weights = Identity(back)",
    ],
)
def test_a_mask_of_one_entry_that_becomes_one_of_what_comes_before_is_refused(
    between: str,
) -> None:
    """Every pixel attends to all of them, and in onnxruntime to those before it alone."""
    data = _of_gpt(between)
    assert deviate(data)
    assert not deviate(data, optimised=False)
    proof = prove(data, runtime=run_alone)
    assert proof.outcome == "NOT PROVED"
    assert "a mask of its own" in proof.reasons[0]


@pytest.mark.parametrize(
    ("mask", "rewritten"),
    [
        ("mask = Sigmoid(top)", True),
        ("s = Abs(top) mask = Floor(s)", True),
        ("s = Greater(top, UNIT) mask = Cast<to = 1>(s)", False),
    ],
)
def test_a_mask_is_followed_if_it_is_0_or_1(mask: str, *, rewritten: bool) -> None:
    data = _of_bert(mask)
    assert _is_rewritten(data) == rewritten
    proof = prove(data, runtime=run_alone)
    assert proof.outcome == ("NOT PROVED" if rewritten else "PROVED")
    assert not rewritten or "other than 0 and 1" in proof.reasons[0]


@pytest.mark.parametrize(("rows", "tokens"), [(2, 16), (1, 16)])
def test_attention_in_windows_that_becomes_one_of_all_tokens_is_refused(
    rows: int, tokens: int
) -> None:
    """The second window reads the image by a ramp, and its tokens are left out in the end."""
    read = "c, j" if rows > 1 else "c"
    body = f"""c = Conv(x, PIXEL) j = Mul(c, RAMP) d = Concat<axis = 2>({read})
        r = Reshape(d, PLANES) t = Transpose<perm = [0, 2, 1]>(r) m = MatMul(t, WQKV)
        p = Reshape(m, PARTED) q, k, v = Split<axis = 2>(p, ONES)
        qt = Transpose<perm = [2, 0, 3, 1, 4]>(q) qs = Squeeze(qt, ZERO) qm = Mul(qs, HALF)
        ks = Squeeze(k, TWICE) kt = Transpose<perm = [0, 2, 3, 1]>(ks) qk = MatMul(qm, kt)
        weights = Softmax<axis = -1>(qk) vt = Transpose<perm = [2, 0, 3, 1, 4]>(v)
        vs = Squeeze(vt, ZERO) z = MatMul(weights, vs) zt = Transpose<perm = [0, 2, 1, 3]>(z)
        joined = Reshape(zt, TOGETHER) o = MatMul(joined, WO) a = Add(o, SHIFT)
        s = Slice(a, ZERO, END, ONE) y = ReduceMax<axes = [1, 2], keepdims = 0>(s)"""
    drawn = np.random.default_rng(0)
    given: dict[str, Any] = {
        "PIXEL": drawn.normal(size=(8, 1, 1, 1)).astype(np.float32),
        "RAMP": np.arange(16).reshape(1, 1, 4, 4).astype(np.float32) / 4,
        "PLANES": np.array([1, 8, 16 * rows]),
        "WQKV": drawn.normal(size=(8, 24)).astype(np.float32),
        "PARTED": np.array([-1, tokens, 3, 2, 4]),
        "ONES": np.ones(3, np.int64),
        "HALF": np.float32(0.5),
        "TWICE": np.array([2]),
        "TOGETHER": np.array([1, 16 * rows, 8]),
        "WO": drawn.normal(size=(8, 8)).astype(np.float32),
        "SHIFT": drawn.normal(size=8).astype(np.float32),
        "END": np.array([16]),
    }
    data = parse(body, "float[1,1,4,4] x", opset=13, **given)
    images = drawn.random((20, 1, 4, 4)).astype(np.float32)
    for optimised in (False, True):
        runs = answers(data, images, optimised=optimised)
        assert runs is not None
        alike = np.allclose(runs[0], runs[1], rtol=1e-3, atol=1e-5)
        assert alike == (rows == 1 or not optimised)
    assert prove(data, runtime=run_alone).outcome == ("PROVED" if rows == 1 else "NOT PROVED")
