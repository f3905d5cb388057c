"""A quick share of the traps, and that the judge sees what they lay."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from tests.audit.fuzz.judge import judge
from tests.audit.fuzz.traps import TRAPS, draw_trap

pytestmark = pytest.mark.filterwarnings("ignore")

FEW = range(5)


@pytest.mark.slow
def test_no_trap_makes_a_verdict_wrong() -> None:
    for name in TRAPS:
        findings = [judge(draw_trap(name, seed)) for seed in FEW]
        assert any(judged.finding != "not run" for judged in findings)
        wrong = [
            (seed, j) for seed, j in enumerate(findings) if j.finding not in ("sound", "not run")
        ]
        assert not wrong, name


@pytest.mark.parametrize(
    "body",
    [
        # Fewer images than pixels: N as the end of a slice leaves some out.
        "s = Shape(image) n = Slice(s, Z, O, Z) f = Flatten(image) y = Slice(f, Z, n, O)",
        # The images of a batch meet, and each is rotated otherwise.
        "g = GlobalMaxPool(i) b = ReduceSum<keepdims = 1>(j, Z) m = Mul(g, b) y = Flatten(m)",
    ],
    ids=["few images", "images meet"],
)
def test_the_judge_sees(body: str) -> None:
    body = "i = Identity(image) r = Slice(image, Z, O, T) j = Slice(r, Z, O, H) " + body
    head = '<ir_version: 10, opset_import: ["" : 17]> g (float[N,1,4,4] image) => (float[a,b] y)'
    text = f"{head} {{ {body} }}"
    model = onnx.parser.parse_model(text)
    for name, value in {"Z": 0, "O": 1, "T": 3, "H": 2}.items():
        model.graph.initializer.append(numpy_helper.from_array(np.array([value]), name))
    assert judge(model).deviates
