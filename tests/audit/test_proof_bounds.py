"""What records state of entries, over every operator and many constants, held against onnxruntime.

And mutants of what they state, each of which that comparison has to notice.
"""

import dataclasses
import re
from dataclasses import replace
from itertools import product
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from audit.proof import operators
from audit.proof.operators import OPERATORS, ranges
from audit.proof.operators.record import Bounding
from audit.proof.operators.weights import read_weights
from audit.proof.values.context import Bound, Context
from tests.audit.operator_graphs import BODIES, CONSTANTS, OPSETS, UNEVEN, WHOLE, build
from tests.audit.test_proof_records import held

pytestmark = pytest.mark.filterwarnings("ignore")
RECORDS = dict(OPERATORS)
FOLLOWED = sorted(name for name, record in RECORDS.items() if record.rule is not None)
SOME = [
    pytest.param(FOLLOWED[::5], id="some"),
    pytest.param(FOLLOWED, id="all", marks=pytest.mark.slow),
]
STARTS = {
    "fractions": UNEVEN,
    "both signs": UNEVEN.replace("x = Add(m, SUMMANDS)", "x = Sub(SUMMANDS, m)"),
    "whole": "a = Cast<to = 1>(image) x = Sub(a, HUNDRED) ",
    "zeros of both signs": "a = Cast<to = 1>(image) b = Mul(a, PERCENT) n = Neg(b) x = Ceil(n) ",
    "infinite": "a = Cast<to = 1>(image) x = Div(a, ZEROF) ",
}
VARIED = ("K", "FOUR", "FILTERS", "SPREAD", "MATRIX", "FILTERS8", "MATRIX8")


def graph(name: str, start: str, seed: int) -> onnx.ModelProto:
    """The graph of an operator, with other constants for each seed."""
    opset = OPSETS.get(name, 21)
    model = onnx.load_model_from_string(
        build(BODIES[name], start=STARTS[start], end=WHOLE, opset=opset)
    )
    random = np.random.default_rng(seed)
    for tensor in model.graph.initializer:
        if tensor.name not in VARIED or not seed:
            continue
        value = np.asarray(CONSTANTS[tensor.name])
        if value.dtype == np.int8:
            drawn: Any = random.integers(-60, 61, value.shape)
        else:
            drawn = random.choice(NUMBERS, value.shape)
        if tensor.name == "K":
            drawn = np.asarray(NUMBERS[seed - 1])
        if tensor.name == "K" and _is_scale(name):
            drawn = np.abs(drawn) + 0.125
        tensor.CopyFrom(numpy_helper.from_array(drawn.astype(value.dtype), tensor.name))
    return model


def _is_scale(name: str) -> bool:
    return bool(re.search(r"Quantize|QLinear|Integer", BODIES[name]))


NUMBERS = (-2.0, -0.5, -0.0, 0.0, 0.25, 1.0, 3.0)


@pytest.mark.slow
def test_entries_are_what_a_record_says() -> None:
    """Of fractions with all constants; each other start with those that the file has and one."""
    for name, (number, start) in product(FOLLOWED, enumerate(STARTS)):
        seeds = range(len(NUMBERS) + 1) if start == "fractions" else (0, number)
        seen = [held(graph(name, start, seed)) for seed in seeds]
        assert any(name in each for each in seen) or start != "fractions", name


# --- mutants ----------------------------------------------------------------------------------


def narrowed(bound: Bounding) -> Bounding:
    """Leave out all but the upper end of what is known."""

    def mutant(context: Context) -> Bound:
        found = bound(context)
        return replace(found, low=found.high) if np.isfinite(found.high - found.low) else found

    return mutant


def _is_finite(name: str) -> bool:
    seen: list[Bound] = []

    def noted(context: Context) -> Bound:
        seen.append(RECORDS[name].bound(context))
        return seen[-1]

    with pytest.MonkeyPatch.context() as patch:
        _mutate(patch, name, bound=noted)
        held(graph(name, "fractions", 0))
    return bool(seen) and all(np.isfinite(found.high - found.low) for found in seen)


def _mutate(monkeypatch: pytest.MonkeyPatch, name: str, **changes: Any) -> None:
    mutant = dataclasses.replace(RECORDS[name], **changes)
    monkeypatch.setitem(operators.OPERATORS, name, mutant)  # type: ignore[arg-type]


@pytest.mark.slow
@pytest.mark.parametrize("names", SOME)
def test_a_bound_that_is_too_narrow_is_noticed(names: list[str]) -> None:
    for name in names:
        finite = _is_finite(name)
        with pytest.MonkeyPatch.context() as patch:
            if not finite:
                # What leaves a type's range becomes what is unknown, which would hide the mutant.
                patch.setattr(ranges, "UNKNOWN", Bound(0.0, 0.0, deviation=0.0))
                _mutate(patch, name, bound=lambda _: Bound(7e7, 7e7))
            else:
                _mutate(patch, name, bound=narrowed(RECORDS[name].bound))
            with pytest.raises(AssertionError):
                pytest.fail(f"{name}: nothing in {held(graph(name, 'fractions', 0))} was noticed")


@pytest.mark.parametrize(
    ("name", "start", "states"),
    [
        *(
            (name, "fractions", {"whole": True})
            for name in ("Identity", "Add", "Relu", "Concat", "Max", "Clip", "Transpose")
        ),
        # Of the others the constants here make no -0.0.
        *(
            (name, "zeros of both signs", {"signed_zero": False})
            for name in ("Identity", "Concat", "Transpose")
        ),
    ],
)
def test_a_bound_that_states_too_much_is_noticed(
    name: str, start: str, states: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    bound = RECORDS[name].bound
    _mutate(monkeypatch, name, bound=lambda context: replace(bound(context), **states))
    with pytest.raises(AssertionError):
        held(graph(name, start, 0))


# --- padding is zero, and no entry of the image -----------------------------------------------

FAR = "a = Cast<to = 1>(image) x = Add(a, HUNDRED) "
POOLED = "y = AveragePool<kernel_shape = [3, 3], pads = [1, 1, 1, 1], count_include_pad = 1>(x)"
CONVOLVED = "y = Conv<pads = [1, 1, 1, 1]>(x, FILTERS)"


def _without_padding(context: Context) -> Bound:
    """Bound a linear node as if there were no zeros around its input."""
    inner, weights = context.image().bound, read_weights(context)
    assert weights is not None
    rows = weights.matrix.reshape(len(weights.matrix), -1)
    sums = rows.clip(min=0).sum(axis=1), rows.clip(max=0).sum(axis=1)
    low = sums[0] * inner.low + sums[1] * inner.high
    high = sums[0] * inner.high + sums[1] * inner.low
    return Bound(float(low.min()), float(high.max()))


@pytest.mark.parametrize(
    ("name", "body", "mutant"),
    [("AveragePool", POOLED, ranges.first), ("Conv", CONVOLVED, _without_padding)],
)
def test_a_bound_that_forgets_the_zeros_of_the_padding_is_noticed(
    name: str, body: str, mutant: Bounding, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = onnx.load_model_from_string(build(body, start=FAR, end=WHOLE))
    assert name in held(model)
    _mutate(monkeypatch, name, bound=mutant)
    with pytest.raises(AssertionError):
        held(model)
