"""For each record mutants, and what notices them: a verdict, a claim of bits, or a warning."""

import dataclasses
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import onnx
import pytest

from audit.proof import operators
from audit.proof.operators import OPERATORS, pointwise
from audit.proof.operators.record import Operator
from audit.proof.values.context import Context
from audit.proof.values.numbering import Numbers
from tests.audit.fuzz.judge import answers, draw_images, same_bits
from tests.audit.operator_graphs import BODIES, UNEVEN, WHOLE, build, graph_of, proof_of

RECORDS = dict(OPERATORS)
FOLDED_ONLY = {name for name, record in RECORDS.items() if record.rule is None}
OF_INTEGERS = {
    *("And", "Or", "Xor", "Not", "BitShift", "BitwiseAnd", "BitwiseNot", "BitwiseOr"),
    *("BitwiseXor", "ConvInteger", "DequantizeLinear", "MatMulInteger", "QLinearConv"),
    "QLinearMatMul",
}
"""Those that read integers in their graphs."""
UNORDERED = "d = Div(x, x) "
"""Numbers among which there are NaN: nothing divided by nothing."""

FOLLOWED = sorted(set(RECORDS) - FOLDED_ONLY)
SOME = [
    pytest.param(FOLLOWED[::5], id="some"),
    pytest.param(FOLLOWED, id="all", marks=pytest.mark.slow),
]


@contextmanager
def mutated(name: str, **changes: Any) -> Iterator[None]:
    """Put a record that states something else in the place of an operator's."""
    mutant: Operator = dataclasses.replace(RECORDS[name], **changes)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(operators.OPERATORS, name, mutant)  # type: ignore[arg-type]
        yield


def deviates(data: bytes, quarters: int = 1) -> bool:
    """Whether onnxruntime answers otherwise for rotated images."""
    images = draw_images(onnx.load_model_from_string(data))
    runs = answers(data, images, optimised=False)
    assert runs is not None
    return not same_bits(runs[0][0], runs[quarters][0])


# --- fails closed -----------------------------------------------------------------------------


def test_no_record_is_without_a_graph_and_its_mutants() -> None:
    assert not set(RECORDS) - set(BODIES)
    assert not set(BODIES) - set(RECORDS)


@pytest.mark.slow
def test_a_record_without_versions_is_refused() -> None:
    for name in RECORDS:
        data = graph_of(name)
        proof = proof_of(data)
        assert proof.outcome == "PROVED", (name, proof.reasons)
        assert not (proof.exact_bits and deviates(data)), name
        with mutated(name, versions=()):
            assert proof_of(data).outcome == "NOT PROVED", name


def test_a_constant_that_may_not_be_computed_is_refused() -> None:
    for name in FOLDED_ONLY:
        with mutated(name, folding="never"):
            assert proof_of(graph_of(name)).outcome == "NOT PROVED", name


def _unmoved(context: Context) -> list[Numbers]:
    """Take every answer for invariant."""
    rule = RECORDS[context.node.op].rule
    assert rule is not None
    return [numbers[[0, 0]] for numbers in rule(context)]


@pytest.mark.slow
@pytest.mark.parametrize("names", SOME)
def test_a_rule_that_takes_answers_for_invariant_is_contradicted(names: list[str]) -> None:
    for name in names:
        data = graph_of(name, start=UNEVEN, end=WHOLE)
        assert proof_of(data).outcome == "NOT PROVED", name
        assert deviates(data), name
        with mutated(name, rule=_unmoved):
            assert proof_of(data).outcome == "PROVED", name


# --- claims of bits ---------------------------------------------------------------------------


def _claim(name: str) -> tuple[bytes, bool]:
    """Return a graph in which nothing but an operator may round, and whether it may."""
    record, body = RECORDS[name], BODIES[name]
    if name in OF_INTEGERS:
        return graph_of(name), record.integers == "always"
    if record.floats in ("ordered", "bounded"):
        return graph_of(name, UNORDERED + re.sub(r"\bx\b", "d", body)), False
    nearest = not isinstance(record.floats, str) and "linear" not in body
    return graph_of(name), record.floats == "always" or nearest


@pytest.mark.slow
def test_bits_are_claimed_where_a_record_says_so_and_nowhere_else() -> None:
    for name in FOLLOWED:
        data, exact = _claim(name)
        proof = proof_of(data)
        assert (proof.outcome, proof.exact_bits) == ("PROVED", exact), (name, proof.reasons)
        field = "integers" if name in OF_INTEGERS else "floats"
        with mutated(name, **{field: "never" if exact else "always"}):
            assert proof_of(data).exact_bits != exact, name


SUMMING = {name for name, record in RECORDS.items() if record.floats == "whole"} - OF_INTEGERS


def test_whole_floats_are_summed_exactly_only_as_far_as_is_known() -> None:
    """Without the largest partial sum of whole numbers nothing is known of them."""
    for name in sorted(SUMMING):
        whole = BODIES[name].replace("FILTERS", "ONES").replace("SPREAD", "ONES_SPREAD")
        body = "w = Round(x) " + re.sub(r"\bx\b", "w", whole.replace("MATRIX", "ONES_MATRIX"))
        data = graph_of(name, body)
        assert proof_of(data).exact_bits
        assert not deviates(data)
        with mutated(name, partial_sums=None):
            assert not proof_of(data).exact_bits


# --- warnings ---------------------------------------------------------------------------------

AFTER_ROUNDING = {
    "Cast": "y = Cast<to = 6>(x)",
    "Celu": "y = Celu<alpha = -0.5>(x)",
    "Cos": "u = Mul(x, HUNDRED) v = Mul(u, HUNDRED) y = Cos(v)",
    "Div": "y = Div(K, x)",
    "Sin": "u = Mul(x, HUNDRED) v = Mul(u, HUNDRED) y = Sin(v)",
    "Where": "p = Greater(x, K) y = Where(p, x, K)",
}


@pytest.mark.slow
def test_what_makes_more_of_a_last_bit_is_named() -> None:
    """After softmax, whose last bits depend on the place."""
    for name in FOLLOWED:
        record = RECORDS[name]
        body = AFTER_ROUNDING.get(name, BODIES[name])
        data = graph_of(name, "r = Softmax<axis = 1>(x) " + re.sub(r"\bx\b", "r", body))
        expected = record.response if isinstance(record.response, str) else "steep step"
        before = _named(data, name)
        with mutated(name, response="step" if expected == "smooth" else "smooth"):
            after = _named(data, name)
        if expected == "smooth":
            assert not before, name
            assert after, name
        else:
            assert before, name
            assert {effect for _, effect in before} <= {*expected.split()}, name
            assert len(after) < len(before), name


def _named(data: bytes, name: str) -> list[tuple[str, str]]:
    return [(step.op, step.effect) for step in proof_of(data).steps if step.op == name]


# --- order of inputs --------------------------------------------------------------------------

HALF_TURN = "h = Slice(x, LAST, FIRST, GRID, BACK) "
PAIRS = HALF_TURN + "l = Concat<axis = 1>(x, x) r = Concat<axis = 1>(x, h) {op} "
PAIRS += "y = Slice(z, FOURTH, EIGHTH, ONE)"
"""An image and itself after a half turn, beside an image and itself, so that entries come twice."""
ORDERED = {
    **{op: f"z = {op}(l, r)" for op in ("Sub", "Div", "Pow", "PRelu", "Greater", "Less")},
    **{op: f"z = {op}(l, r)" for op in ("GreaterOrEqual", "LessOrEqual")},
    "Mod": "z = Mod<fmod = 1>(l, r)",
    "BitShift": 'p = Cast<to = 2>(l) q = Cast<to = 2>(r) z = BitShift<direction = "LEFT">(p, q)',
    "Where": "p = Greater(l, K) z = Where(p, l, r)",
}
SYMMETRIC = {op: f"z = {op}(l, r)" for op in ("Add", "Mul", "Max", "Min", "Mean", "Sum", "Equal")}
SYMMETRIC |= {
    op: f"p = Greater(l, K) q = Greater(r, K) z = {op}(p, q)" for op in ("And", "Or", "Xor")
}
SYMMETRIC |= {
    op: f"p = Cast<to = 6>(l) q = Cast<to = 6>(r) z = {op}(p, q)"
    for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor")
}


@pytest.mark.parametrize("name", ORDERED)
def test_an_operator_that_minds_the_order_of_its_inputs_is_not_symmetric(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = build(PAIRS.format(op=ORDERED[name]), end=WHOLE)
    assert proof_of(data, "C2").outcome == "NOT PROVED"
    assert deviates(data, quarters=2)
    monkeypatch.setattr(pointwise, "SYMMETRIC", pointwise.SYMMETRIC | {name})
    # Of three inputs, of which one is a condition, no two can be exchanged.
    assert proof_of(data, "C2").outcome == ("NOT PROVED" if name == "Where" else "PROVED")


def test_every_operator_that_is_taken_for_symmetric_is() -> None:
    assert set(SYMMETRIC) == pointwise.SYMMETRIC
    for name, op in SYMMETRIC.items():
        data = build(PAIRS.format(op=op), end=WHOLE)
        assert proof_of(data, "C2").outcome == "PROVED", name
        assert not deviates(data, quarters=2), name


QUARTERS = "q0 = Identity(x) " + "".join(
    f"t{k} = Transpose<perm = [0, 1, 3, 2]>(q{k})"
    f" q{k + 1} = Slice(t{k}, ENDS, FIRST_ROW, TWO, ENDS) "
    for k in range(3)
)
BRANCHES = QUARTERS + " ".join(f"b{k} = Conv(q{k}, UNEVEN_FILTERS)" for k in range(4))


@pytest.mark.parametrize("op", ["Add", "Mul", "Max", "Min", "Sub", "Div"])
def test_a_chain_is_one_function_of_its_terms_where_their_order_does_not_matter(
    op: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """((a - b) - c) - d of the four rotations is no function of all four alike."""
    data = build(f"{BRANCHES} u = {op}(b0, b1) v = {op}(u, b2) y = {op}(v, b3)", end=WHOLE)
    if op in SYMMETRIC:
        assert proof_of(data).outcome == "PROVED"
        return
    assert proof_of(data).outcome == "NOT PROVED"
    assert deviates(data)
    monkeypatch.setattr(pointwise, "_CHAINS", {**pointwise._CHAINS, op: op})
    assert proof_of(data).outcome == "PROVED"


def test_the_orbit_of_an_image_pixel_by_pixel_is_one_function_of_it() -> None:
    for op in ["Add", "Mul", "Max", "Min"]:
        data = build(f"{QUARTERS} u = {op}(q0, q1) v = {op}(u, q2) y = {op}(v, q3)", end=WHOLE)
        assert proof_of(data).outcome == "PROVED"
