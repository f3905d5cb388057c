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
