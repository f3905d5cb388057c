"""A bar is met exactly when what was measured is as required, and says so."""

import dataclasses

import pytest

from benchmarks.serving.bars import bars
from benchmarks.serving.endurance import Memory
from benchmarks.serving.rounds import BARE, LARGE, LARGE_CONNECTIONS, MEMORY, Case
from benchmarks.serving.systems import JSON_LINES, LINES, NAIVE, OURS, TRITON

LEVEL = Memory("OIP binary", 20_000, 200_000, 100, 105)
READY = [1.0, 3.0, 2.0]


def test_bars_that_are_just_met_are_met(even):
    found = bars([even], LEVEL, READY)
    assert len(found) == 9
    assert all(str(bar).endswith(", met") for bar in found)


FASTER = [
    (0, Case(TRITON, "OIP binary", 1, 32)),
    (1, Case(NAIVE, "raw pixels", 1, 32)),
    (3, Case(BARE, MEMORY, LARGE, 1)),
    (4, Case(OURS, "OIP binary", 1, 32)),
]
SLOWER = [
    (0, Case(OURS, "OIP binary", 1, 32)),
    (1, Case(OURS, "OIP binary", 1, 32)),
    (3, Case(OURS, "OIP binary", LARGE, LARGE_CONNECTIONS)),
    (4, Case(OURS, "PNG", 1, 32)),
    (5, Case(LINES, "OIP binary", 1, 32)),
    (6, Case(JSON_LINES, "OIP binary", 1, 32)),
]


@pytest.mark.parametrize(
    ("number", "case", "factor"),
    [(number, case, 1.01) for number, case in FASTER]
    + [(number, case, 0.99) for number, case in SLOWER],
)
def test_a_rate_that_falls_short_is_not_met(even, number, case, factor):
    figure = even[case]
    rate = figure.images_per_second * factor
    changed = even | {case: dataclasses.replace(figure, images_per_second=rate)}
    bar = bars([changed], LEVEL, READY)[number]
    assert not bar.met
    assert str(bar).endswith(", NOT met")


def test_a_latency_above_the_naive_handler_s_is_not_met(even):
    case = Case(OURS, "OIP binary", 1, 1)
    changed = even | {case: dataclasses.replace(even[case], p50=0.00051)}
    name, rest = str(bars([changed], LEVEL, READY)[2]).rsplit(": ", 1)
    assert "p50 at 1 connection" in name
    assert rest == "1.020, at most 1.00 required, NOT met"


def test_memory_that_grew_and_a_late_start_are_not_met(even):
    grown = dataclasses.replace(LEVEL, late_bytes=106)
    *others, memory, ready = bars([even], grown, [1.0, 3.1])
    assert all(bar.met for bar in others)
    assert str(memory).startswith("memory after 200,000 requests, of that after 20,000")
    assert not memory.met
    assert not ready.met


def test_what_was_not_measured_is_not_met():
    for bar in bars([], None, []):
        assert not bar.met
        assert ": not measured, " in str(bar)
        assert str(bar).endswith(", NOT met")


def test_ratios_are_taken_within_a_round_and_then_the_median(even):
    """A machine that halves its speed between rounds, and one round that went wrong."""
    ours, triton = Case(OURS, "OIP binary", 1, 32), Case(TRITON, "OIP binary", 1, 32)
    rounds = [even | rates(ours, a, triton, b, even) for a, b in [(3, 2), (1.5, 1), (9, 1)]]
    assert bars(rounds, LEVEL, READY)[0].measured == pytest.approx(1.5)


def rates(one, a, other, b, base):
    return {
        one: dataclasses.replace(base[one], images_per_second=a),
        other: dataclasses.replace(base[other], images_per_second=b),
    }
