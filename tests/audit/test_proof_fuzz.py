"""Random graphs over every operator: no verdict is wrong, and wrong ones would be seen."""

import dataclasses
import platform
import warnings
from collections.abc import Callable

import numpy as np
import onnx
import pytest

from audit.proof import operators, prove
from audit.proof.file.node import Unsupported
from audit.proof.operators import OPERATORS
from audit.proof.operators.record import Operator
from audit.proof.values.context import Context
from audit.proof.values.numbering import Numbers
from tests.audit.fuzz.draw import draw_graph
from tests.audit.fuzz.judge import (
    answers,
    decided_by_order,
    draw_images,
    judge,
    run_alone,
)
from tests.audit.fuzz.tally import Tally
from tests.audit.fuzz.trial import try_seeds
from tests.audit.test_proof_cases import parse

pytestmark = pytest.mark.filterwarnings("ignore")
FEW = range(60)


def test_no_verdict_is_wrong_and_every_operator_occurs() -> None:
    tally = Tally()
    for seed in FEW:
        model = draw_graph(seed)
        judgement = judge(model)
        assert judgement.finding in ("sound", "not run"), (seed, judgement)
        tally.add(judgement, {node.op_type for node in model.graph.node})
    assert tally.proved > 0.25 * tally.run  # a prover that refuses everything is of no use
    assert tally.deviating > 0.1 * tally.run  # and one that proves everything would be caught


def test_a_rotation_under_which_nothing_runs_has_another_answer() -> None:
    body = "i = Cast<to = 7>(x) r = Gather<axis = 2>(i, ZERO) s = ReduceSum<keepdims = 0>(r, AXES)"
    data = parse(f"{body} q = Div(s, s) y = Cast<to = 1>(q)", inputs="uint8[N,1,8,8] x")
    images = np.ones((1, 1, 8, 8), np.uint8)
    images[..., -1, :] = 0  # half a turn makes it the first row, whose sum is divided by
    runs = answers(data, images, optimised=False)
    assert runs is not None and len({len(run) for run in runs}) == 1
    assert [run[0].shape for run in runs].count((0,)) == 1


@pytest.mark.slow
@pytest.mark.skipif(platform.machine() != "x86_64", reason="other processors do not trap")
def test_a_graph_on_which_the_process_dies_is_told_and_costs_no_other() -> None:
    """It takes the least integer modulo -1."""
    found = {seed: judgement.finding for seed, judgement, _ in try_seeds(range(48868, 48873), 1)}
    assert set(found) == set(range(48868, 48873))
    assert found.pop(48870) == "died"
    assert set(found.values()) <= {"sound", "not run"}


@pytest.mark.slow
def test_every_operator_with_a_record_is_drawn() -> None:
    drawn: set[str] = set()
    for seed in range(6000):
        if drawn >= set(OPERATORS):
            break
        drawn |= {node.op_type for node in draw_graph(seed).graph.node}
    assert not set(OPERATORS) - drawn


def _record(name: str, **changes: object) -> Callable[[pytest.MonkeyPatch], None]:
    def mutate(monkeypatch: pytest.MonkeyPatch) -> None:
        mutant = dataclasses.replace(OPERATORS[name], **changes)  # type: ignore[arg-type]
        monkeypatch.setitem(operators.OPERATORS, name, mutant)  # type: ignore[arg-type]

    return mutate


def _first_half_twice(context: Context) -> list[Numbers]:
    """What a rule would give that takes every answer for invariant."""
    rule = OPERATORS_BEFORE[context.node.op].rule
    if rule is None:
        raise Unsupported("is folded only")
    return [numbers[[0, 0]] for numbers in rule(context)]


OPERATORS_BEFORE: dict[str, Operator] = dict(OPERATORS)


MUTANTS = {
    **{
        f"{name} is taken for invariant": _record(name, rule=_first_half_twice)
        for name in ("Conv", "MaxPool", "Mul", "Add", "MatMul", "Gemm", "ArgMax", "Resize")
    },
    "sums are exact in any order": _record("ReduceSum", floats="always"),
    "means are exact in any order": _record("ReduceMean", floats="always"),
    "products of sums are exact": _record("Conv", floats="always"),
}


@pytest.mark.parametrize(("other", "finding"), [(1.0, "unsound"), (float("inf"), "sound")])
def test_an_order_that_may_count_excuses_no_deviation_of_finite_numbers(
    other: float, finding: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    _record("ReduceMax", rule=_first_half_twice)(monkeypatch)
    ramp = np.arange(64, dtype=np.float32).reshape(8, 8)
    body = "o = Neg(OTHER) m = Mul(x, RAMP) y = ReduceMax<axes = [1, 2, 3], keepdims = 0>(m)"
    model = onnx.load_model_from_string(parse(body, RAMP=ramp, OTHER=np.float32(other)))
    proof = prove(model.SerializeToString(), "C4", runtime=run_alone)
    assert proof.outcome == "PROVED"
    assert proof.disordered
    assert judge(model).finding == finding


def test_an_order_that_may_count_excuses_the_sign_of_a_zero_and_no_other_bit() -> None:
    model = draw_graph(807)
    proof = prove(model.SerializeToString(), "C4", runtime=run_alone)
    assert proof.arithmetic == "repeated"
    assert proof.disordered
    assert judge(model).finding == "sound"
    images = draw_images(model)
    for other, excused in ((-0.0, True), (1e-45, False)):
        runs = [[np.zeros(1, np.float32)], [np.array([other], np.float32)]]
        assert decided_by_order(proof, [runs], model, images) == excused


def test_a_pool_that_gives_a_number_for_nan_is_named() -> None:
    """A product in one order is 0, and in another it is infinite before it meets the 0."""
    body = "p = ReduceProd<axes = [1, 2, 3], keepdims = 1>(x) y = GlobalMaxPool(p)"
    data = parse(body)
    image = np.full((1, 1, 8, 8), 1e30, np.float32)
    image[..., 0, 0] = 0
    found = answers(data, image, optimised=False)
    assert found is not None
    assert len({rotated[0].tobytes() for rotated in found}) > 1
    proof = prove(data, "C4", runtime=run_alone)
    assert proof.outcome == "PROVED"
    assert proof.disordered is not None
    assert proof.disordered.op == "GlobalMaxPool"


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.parametrize("name", MUTANTS)
def test_a_wrong_record_is_seen(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    warnings.simplefilter("ignore")
    MUTANTS[name](monkeypatch)
    findings = (judge(draw_graph(seed)).finding for seed in range(4000))
    assert any(finding in ("unsound", "beyond its bound") for finding in findings)
