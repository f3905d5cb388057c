"""Whether half precision has a part in an output: in graphs, the graphs of nodes, and functions."""

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from artifact.halves import holds_halves

_PLAIN = "logits = MatMul(x, W)"
_CAST = "h = Cast<to = 10>(x) f = Cast<to = 1>(h) logits = MatMul(f, W)"
_BRANCHES = """c = Constant<value = bool {1}>() logits = If(c)<
    then_branch = a () => (float[N,2] t) { @ t = MatMul(f, W) },
    else_branch = b () => (float[N,2] e) { e = MatMul(x, W) }>"""
_WITHIN = _BRANCHES.replace("@", "h = Cast<to = 10>(x) f = Cast<to = 1>(h)")
_BESIDE = _BRANCHES.replace("@", "f = Identity(x) h = Cast<to = 10>(x)")
_AROUND = "h = Cast<to = 10>(x) f = Cast<to = 1>(h) " + _BRANCHES.replace("@", "")
_HEAD = 'domain: "own", opset_import: ["" : 18, "own" : 1]'
_OWN = f"<{_HEAD}> half (x) => (y) {{ h = Cast<to = 10>(x) y = Cast<to = 1>(h) }}"
_NAMED = f"<{_HEAD}> as <kind> (x) => (y) {{ h = Cast<to : int = @kind>(x) y = Cast<to = 1>(h) }}"
_DEFAULT = _NAMED.replace("<kind>", "<kind : int = 10>")
_OUTER = f"<{_HEAD}> outer (x) => (y) {{ y = own.half(x) }} {_OWN}"
_CALLED = "f = own.{0}(x) logits = MatMul(f, W)"


def model(body: str, functions: str = "") -> onnx.ModelProto:
    proto = onnx.parser.parse_model(f"""<ir_version: 10, opset_import: ["" : 18, "own" : 1]>
        g (float[N,3] x) => (float[N,2] logits, float16[N,3] beside)
        {{ {body} beside = Cast<to = 10>(x) }} {functions}""")
    proto.graph.initializer.append(numpy_helper.from_array(np.ones((3, 2), np.float32), "W"))
    return proto


@pytest.mark.parametrize(
    ("body", "functions", "held"),
    [
        (_PLAIN, "", False),
        (_CAST, "", True),
        (_WITHIN, "", True),
        (_BESIDE, "", False),
        (_AROUND, "", True),
        (_PLAIN, _OWN, False),
        (_CALLED.format("half"), _OWN, True),
        (_CALLED.format("outer"), _OUTER, True),
        (_CALLED.format("as<kind = 10>"), _NAMED, True),
        (_CALLED.format("as<kind = 1>"), _NAMED, False),
        (_CALLED.format("as"), _DEFAULT, True),
    ],
)
def test_half_precision_counts_where_the_output_is_computed_from_it(
    body: str, functions: str, *, held: bool
) -> None:
    """Another output that is computed in half precision does not count."""
    assert holds_halves(model(body, functions), "logits") == held
    assert holds_halves(model(body, functions), "beside")


def test_stored_numbers_count_that_a_graph_within_reads() -> None:
    proto = model(_BRANCHES.replace("@", "k = Cast<to = 1>(HALVES) f = Mul(x, k)"))
    assert not holds_halves(proto, "logits")
    halves = numpy_helper.from_array(np.ones(3, np.float16), "HALVES")
    proto.graph.initializer.append(halves)
    assert holds_halves(proto, "logits")
    del proto.graph.initializer[-1]
    branch = next(node for node in proto.graph.node if node.op_type == "If").attribute[0].g
    branch.initializer.append(halves)
    assert holds_halves(proto, "logits")


def test_a_long_row_of_functions_is_searched() -> None:
    row = " ".join(
        f"<{_HEAD}> f{k} (x) => (y) {{ y = own.f{k + 1}(x) }}" for k in range(1500)
    ) + _OWN.replace("half", "f1500")
    assert holds_halves(model(_CALLED.format("f0"), row), "logits")
