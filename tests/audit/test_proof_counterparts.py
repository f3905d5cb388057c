"""Branches of which onnxruntime makes different things, as one is written otherwise."""

from typing import Any, Final

import numpy as np
import onnx
import pytest

from audit.proof import prove
from tests.audit.fuzz.judge import run_alone
from tests.audit.test_proof_cases import parse
from tests.audit.test_proof_fusions import TURNED, TURNS, deviate

_CLIPPED: Final = """k@ = Mul(r@, UNIT) c@ = Clip(k@, LOW, HIGH)
    q@ = QuantizeLinear(c@, SMALL, Z) d@ = DequantizeLinear(q@, SMALL, Z) e@ = Mul(d@, LARGE)"""
_TWICE: Final = """q@ = QuantizeLinear(r@, SA, Z) d@ = DequantizeLinear(q@, SA, Z)
    p@ = QuantizeLinear(d@, SB, Z) e@ = DequantizeLinear(p@, SB, Z)"""
_FOLDED: Final = " m@ = Mul(e@, MAP) f@ = ReduceMean<axes = [1, 2, 3], keepdims = 0>(m@)"
_ANSWER: Final = "a = Add(f0, f1) b = Add(a, f2) y = Add(b, f3)"
_GIVEN: Final[dict[str, Any]] = {
    "HALF": np.float32(0.5),
    "UNIT": np.float32(1e-7),
    "LOW": np.float32(0),
    "HIGH": np.float32(1),
    "SMALL": np.float32(1e-9),
    "LARGE": np.float32(1e7),
    "Z": np.uint8(100),
    "SA": np.float32(0.1),
    "SB": np.float32(0.07),
    "MAP": np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8),
}


def _network(first: str, others: str, more: str = "", **constants: Any) -> onnx.ModelProto:
    branches = [(first if k == 0 else others).replace("@", str(k)) for k in range(4)]
    z = more or "z = ReduceMax<axes = [1, 2, 3], keepdims = 0>(x)"
    body = f"r0 = Sub(x, HALF) {TURNED} {' '.join(branches)} {_ANSWER} {z}"
    given = {**TURNS, **_GIVEN, **constants}
    return onnx.load_model_from_string(parse(body, outputs="float[a] y, float[b] z", **given))


def _clipped(scale: str = "SMALL", low: str = "LOW") -> str:
    return f"{_CLIPPED} {_FOLDED}".replace("SMALL", scale).replace("LOW", low)


def _read(tensor: str) -> str:
    return f"n = Mul({tensor}, LOW) z = ReduceMax<axes = [1, 2, 3], keepdims = 0>(n)"


_OTHERWISE: Final[dict[str, tuple[str, str, str]]] = {
    "another scale": (_clipped(scale="ROW"), _clipped(), ""),
    "read by another": (_clipped(), _clipped(), _read("c0")),
    "given by the caller": (_clipped(low="OPEN"), _clipped(), ""),
    "read by another, as a copy": (
        _clipped(),
        _clipped(),
        "k = Mul(r0, UNIT) c = Clip(k, LOW, HIGH) " + _read("c"),
    ),
    "quantised twice": (_TWICE + _FOLDED, _TWICE + _FOLDED, _read("d0")),
}


@pytest.mark.parametrize("name", _OTHERWISE)
def test_a_branch_that_is_written_otherwise_is_refused(name: str) -> None:
    first, others, more = _OTHERWISE[name]
    constants: dict[str, Any] = {
        "ROW": np.array([1e-9], np.float32),
        "OPEN": np.float32(0),
    }
    model = _network(first, others, more, **constants)
    if name == "given by the caller":
        model.graph.input.append(onnx.helper.make_tensor_value_info("OPEN", 1, []))
    data = model.SerializeToString()
    assert not deviate(data, optimised=False)
    proof = prove(data, runtime=run_alone)
    assert proof.outcome == "NOT PROVED"
    assert "written otherwise" in proof.reasons[0]
    assert deviate(data)
    alike = _network(others, others, **constants).SerializeToString()
    assert not deviate(alike)
    assert prove(alike, runtime=run_alone).outcome == "PROVED"


@pytest.mark.parametrize(
    "answer",
    [
        "o = Add(f0, LOW) a = Add(o, f1) b = Add(a, f2) y = Add(b, f3)",
        "y = Sum(f0, f1, f2, f3)",
        "a = Sum(f0, f1) b = Add(a, f2) y = Add(f3, b)",
        """g = Unsqueeze(f0, ONE) h = Unsqueeze(f1, ONE) i = Unsqueeze(f2, ONE)
        j = Unsqueeze(f3, ONE) k = Concat<axis = 1>(g, h, i, j)
        y = ReduceMean<axes = [1], keepdims = 0>(k)""",
    ],
)
def test_how_branches_are_added_up_does_not_matter(answer: str) -> None:
    branch = "c@ = Conv(r@, W) e@ = Relu(c@) f@ = ReduceMax<axes = [1, 2, 3], keepdims = 0>(e@)"
    four = " ".join(branch.replace("@", str(k)) for k in range(4))
    weights = np.random.default_rng(0).normal(size=(3, 1, 3, 3)).astype(np.float32)
    body = f"r0 = Sub(x, HALF) {TURNED} {four} {answer}"
    data = parse(body, **TURNS, **_GIVEN, W=weights)
    assert prove(data, runtime=run_alone).outcome == "PROVED"


_SPREAD: Final[dict[str, tuple[str, str]]] = {
    "channels": ("b = Concat<axis = 1>(r1, r2, r3)", "c = Concat<axis = 1>(e0, e1)"),
    "a batch": (
        "b = Concat<axis = 0>(r1, r2, r3)",
        "g, h, i = Split<axis = 0>(e1) c = Concat<axis = 1>(e0, g, h, i)",
    ),
}


@pytest.mark.parametrize("weighed", ["before", "behind"])
@pytest.mark.parametrize("name", _SPREAD)
def test_a_branch_beside_others_in_one_tensor_is_compared_with_them(
    name: str, weighed: str
) -> None:
    if weighed == "before":
        chain = "w@ = Mul(r@, MAP) " + _CLIPPED.replace("r@", "w@")
    else:
        chain = _CLIPPED.replace("e@ =", "w@ =") + " e@ = Mul(w@, MAP)"
    joined, parted = _SPREAD[name]
    alone = chain.replace("SMALL", "ROW").replace("@", "0")
    together = chain.replace("r@", "b").replace("@", "1")
    body = f"""r0 = Sub(x, HALF) {TURNED} {alone} {joined} {together} {parted}
        y = ReduceMean<axes = [1, 2, 3], keepdims = 0>(c)"""
    data = parse(body, **TURNS, **_GIVEN, ROW=np.array([1e-9], np.float32))
    assert not deviate(data, optimised=False)
    assert deviate(data)
    proof = prove(data, runtime=run_alone)
    assert proof.outcome == "NOT PROVED"
    assert "written otherwise" in proof.reasons[0]


def test_nodes_that_do_the_same_and_need_not_may_be_written_otherwise() -> None:
    drawn = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)
    body = """q = QuantizeLinear(x, SA, Z) d = DequantizeLinear(q, SA, Z)
        e = DequantizeLinear(q, SA, Z) c = Conv<pads = [1, 1, 1, 1]>(d, W) a = Add(c, e)
        y = ReduceMax<axes = [1, 2, 3], keepdims = 0>(a)"""
    weights = np.stack([np.rot90(drawn, k) for k in range(4)])[:, None]
    data = parse(body, **_GIVEN, W=weights)
    assert prove(data, runtime=run_alone).outcome == "PROVED"
    assert not deviate(data)


@pytest.mark.parametrize(
    ("step", "count"),
    [
        ("{1} = Identity({0})", 1200),
        ("j{1} = Concat<axis = 1>({0}, {0}) {1} = Slice(j{1}, ZERO, ONE, ONE)", 40),
    ],
)
def test_many_nodes_that_move_what_branches_give_are_compared_in_time(
    step: str, count: int
) -> None:
    """Each of the latter doubles the ways from a filter to what reads it."""
    moved = " ".join(
        step.format(f"c@_{place - 1}" if place else "c@", f"c@_{place}") for place in range(count)
    )
    branch = f"c@ = Conv(r@, W) {moved} e@ = Relu(c@_{count - 1})"
    branch += " f@ = ReduceMax<axes = [1, 2, 3], keepdims = 0>(e@)"
    weights = np.random.default_rng(0).normal(size=(1, 1, 3, 3)).astype(np.float32)
    data = _network(branch, branch, W=weights).SerializeToString()
    assert prove(data, runtime=run_alone).outcome == "PROVED"


def test_a_branch_that_reads_at_once_what_is_dequantised_is_refused() -> None:
    """onnxruntime makes bytes of the weights of that one, where a large one takes all of them."""
    turned = " ".join(
        f"t{k} = Transpose<perm = [0, 1, 3, 2]>(r{k - 1}) r{k} = Gather<axis = 2>(t{k}, REVERSED)"
        for k in (1, 2, 3)
    )
    read = "q{1} = QuantizeLinear({0}, SX, NONE) {1} = DequantizeLinear(q{1}, SX, NONE)"
    branch = """c@ = Conv(n@, W) o@ = QuantizeLinear(c@, SO, Z) d@ = DequantizeLinear(o@, SO, Z)
        f@ = ReduceMean<axes = [1, 2, 3], keepdims = 0>(d@)"""
    weights = np.random.default_rng(0).normal(size=(4, 1, 3, 3)).astype(np.float32)
    weights[0, 0, 0, 0] = 500
    given: dict[str, Any] = {
        **_GIVEN,
        "W": weights,
        "REVERSED": np.arange(7, -1, -1),
        "SX": np.float32(1 / 255),
        "NONE": np.uint8(0),
        "SO": np.float32(0.02),
    }
    once = f"{read.format('x', 'r0')} {turned} " + branch.replace("n@", "r@")
    each = f"r0 = Relu(x) {turned} " + " ".join([read.format("r@", "n@"), branch])
    for network, refused in ((once, True), (each, False)):
        head, _, rest = network.partition(f"{turned} ")
        four = " ".join(rest.replace("@", str(k)) for k in range(4))
        data = parse(f"{head} {turned} {four} {_ANSWER}", **given)
        assert not deviate(data, optimised=False)
        assert deviate(data) == refused
        outcome = "NOT PROVED" if refused else "PROVED"
        assert prove(data, runtime=run_alone).outcome == outcome
