"""What records state: their bounds hold of what runs, and none claims more than was looked up."""

from itertools import cycle
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from artifact.onnx_file import read_onnx
from audit.proof.file.graph import read_graph
from audit.proof.file.node import Unsupported
from audit.proof.findings import PropagationOptions
from audit.proof.limits import DEFAULT_LIMITS
from audit.proof.operators import OPERATORS, pointwise, ranges
from audit.proof.propagation import propagate
from audit.proof.values.batches import Batches
from imaging import GridSymmetry
from tests.audit.fuzz.draw import draw_graph
from tests.audit.fuzz.judge import answers, draw_images, run_alone
from tests.audit.operator_graphs import (
    CHOOSING,
    EXACT_ON_FLOATS,
    EXACT_WHERE_WHOLE,
    SMOOTH,
    SYMMETRIC,
)

pytestmark = pytest.mark.filterwarnings("ignore")


def test_no_record_claims_more_exactness_than_was_looked_up() -> None:
    stated: dict[Any, set[str]] = {}
    for name, record in OPERATORS.items():
        if isinstance(record.floats, str):
            stated.setdefault(record.floats, set()).add(name)
    assert stated["always"] == EXACT_ON_FLOATS
    assert stated["whole"] == EXACT_WHERE_WHOLE
    assert stated["ordered"] == CHOOSING
    assert stated["bounded"] == {"QuantizeLinear"}


def test_no_record_is_smoother_or_more_symmetric_than_was_looked_up() -> None:
    assert {name for name, record in OPERATORS.items() if record.response == "smooth"} == SMOOTH
    assert pointwise.SYMMETRIC == SYMMETRIC


def test_a_record_states_versions_that_there_are() -> None:
    known: dict[str, set[int]] = {}
    for schema in onnx.defs.get_all_schemas_with_history():
        known.setdefault(schema.name, set()).add(schema.since_version)
    for name, record in OPERATORS.items():
        assert record.versions, name
        assert set(record.versions) <= known[name], name


@pytest.mark.slow
def test_bounds_hold_of_every_tensor() -> None:
    """All tensors of random graphs, as onnxruntime computes them, are within what is known."""
    seen: set[str] = set()
    for seed in range(300):
        seen |= held(draw_graph(seed))
    bounded = {name for name, record in OPERATORS.items() if record.rule is not None}
    assert len(seen) > 0.8 * len(bounded)


def held(model: onnx.ModelProto) -> set[str]:
    """See that a graph keeps within its bounds; return the operators of which that was seen."""
    try:
        graph = read_graph(read_onnx(model.SerializeToString()))
    except (Unsupported, ValueError):
        return set()
    options = PropagationOptions(
        GridSymmetry(False, 1), 0.0, (0.0, 1.0), run_alone, explaining=True
    )
    found = propagate(graph, options, DEFAULT_LIMITS.begin())
    named = [name for name in found.tensors if name != graph.image.name]
    types = {
        name: helper.make_tensor_value_info(
            name, helper.np_dtype_to_tensor_dtype(graph.dtypes[name]), None
        )
        for node in model.graph.node
        for name in node.output
        if name in graph.dtypes
    }
    named = [name for name in named if name in types]
    exposed = onnx.ModelProto()
    exposed.CopyFrom(model)
    del exposed.graph.output[:]
    exposed.graph.output.extend(types[name] for name in named)
    runs = answers(exposed.SerializeToString(), draw_images(model), optimised=False)
    if runs is None or not named:
        return set()
    for name, value in zip(cycle(named), runs[0], strict=False):  # of one batch after the other
        tensor = found.tensors[name]
        bounds = (
            [part.bound for part in tensor.parts] if isinstance(tensor, Batches) else [tensor.bound]
        )
        numbers, op = value.astype(np.float64), found.producers[name].op
        low, high = min(b.low for b in bounds), max(b.high for b in bounds)
        slack = 1e-3 if value.dtype.kind == "f" else 0.0
        finite = numbers[np.isfinite(numbers)]
        off = slack * (1 + max(abs(low), abs(high))) if np.isfinite(high - low) else 0.0
        if finite.size:
            assert low - off <= finite.min() <= finite.max() <= high + off, (op, name, bounds)
        if all(b.whole for b in bounds):
            assert (finite == np.floor(finite)).all(), (op, name)
        if not any(b.unbounded for b in bounds):
            assert finite.size == numbers.size, (op, name)
        if not any(b.signed_zero for b in bounds) and value.dtype.kind == "f":
            assert not (np.signbit(numbers) & (numbers == 0)).any(), (op, name)
    return {found.producers[name].op for name in named}


WRAPPING = """<ir_version: 9, opset_import: ["" : 17]>
    g (uint8[N,1,4,4] image) => (float[N,1,4,4] y) <uint8 c = {200}>
    { d = Sub(image, c) y = Cast<to = 1>(d) }"""


def test_integers_that_wrap_around_are_not_taken_to_stay_in_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """100 - 200 is 156 in eight bits, and a bound that does not know it is seen to fail."""
    model = onnx.parser.parse_model(WRAPPING)
    assert "Sub" in held(model)
    monkeypatch.setattr(ranges, "_leaves", lambda *_: False)
    with pytest.raises(AssertionError):
        held(model)


def test_the_difference_of_two_branches_is_not_their_difference_the_other_way_round() -> None:
    """A mutant that takes Sub for symmetric would have this proved."""
    half = "M = Constant<value_ints = [-1, -1]>() E = Constant<value_ints = [-100, -100]>()"
    text = f"""<ir_version: 9, opset_import: ["" : 17]>
        g (float[N,1,4,4] x) => (float[N,1,3,3] y) {{
        {half} A = Constant<value_ints = [2, 3]>() B = Constant<value_ints = [-5, -5]>()
        t = Slice(x, M, B, A, M) f = Conv(x, W) g = Conv(t, W) d = {{op}}(f, g)
        y = Identity(d) }}"""
    for op, outcome in (("Sub", "NOT PROVED"), ("Add", "PROVED")):
        data = _with_kernel(text.replace("{op}", op).replace("{half}", half))
        from audit.proof import prove

        assert prove(data, "C2").outcome == outcome


def _with_kernel(text: str) -> bytes:
    model = onnx.parser.parse_model(text.replace("{{", "{").replace("}}", "}"))
    kernel = np.array([1, 2, 3, 5], np.float32).reshape(1, 1, 2, 2)
    model.graph.initializer.append(onnx.numpy_helper.from_array(kernel, "W"))
    pooled = helper.make_node("GlobalMaxPool", ["d"], ["y"])
    model.graph.node[-1].CopyFrom(pooled)
    del model.graph.output[0].type.tensor_type.shape.dim[2:]
    for _ in range(2):
        model.graph.output[0].type.tensor_type.shape.dim.add().dim_value = 1
    return bytes(model.SerializeToString())


ZEROS = """<ir_version: 10, opset_import: ["" : 21]>
    g (float[N,1,4,4] image) => (float[N,1,4,4] y)
    <float half = {0.5}, float tiny = {0.000000001}, float s = {1.0}, float8e4m3fn z = {0}>
    { d = Sub(image, half) t = Mul(d, tiny) q = QuantizeLinear(t, s, z)
      y = DequantizeLinear(q, s, z) }"""


def test_zeros_of_float8_have_a_sign() -> None:
    """What is dequantised of integers is no -0.0; of float8 it may be."""
    assert "DequantizeLinear" in held(onnx.parser.parse_model(ZEROS))


MEANS = {
    "AveragePool": "<kernel_shape = [2, 2]> (x)",
    "GlobalAveragePool": "(x)",
    "ReduceMean": "<axes = [2, 3]> (x)",
    "Mean": "(x, x)",
}


def test_a_sum_may_be_infinite_where_its_mean_is_not() -> None:
    for name, given in MEANS.items():
        text = f"""<ir_version: 9, opset_import: ["" : 17]>
            g (uint8[N,1,4,4] image) => (float[N,1,a,b] y) <float c = {{3e38}}>
            {{ i = Cast<to = 1>(image) x = Sub(c, i) y = {name}{given} }}"""
        assert name in held(onnx.parser.parse_model(text))
