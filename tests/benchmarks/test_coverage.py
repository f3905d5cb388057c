"""The simulated audits tell intervals that hold from intervals that do not."""

import numpy as np
import pytest

import benchmarks.coverage as coverage
from audit.statistics import Interval


@pytest.mark.parametrize(
    "simulation",
    [
        coverage.clopper_pearson_holds(0.95),
        coverage.agreement_band_holds(0.99),
        coverage.no_class_is_accused,
    ],
)
def test_what_is_stated_holds(simulation: coverage.Simulation) -> None:
    held, error = coverage.coverage(simulation, 300)
    assert held >= 0.95 - 3 * error


@pytest.mark.slow
def test_every_line_of_the_table_holds() -> None:
    for statement, truth, simulation in coverage.simulations():
        held, error = coverage.coverage(simulation, 400)
        assert held >= 0.95 - 3 * error, (statement, truth)


def test_an_interval_that_is_too_narrow_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def wald(successes: int, trials: int, confidence: float) -> Interval:
        rate = successes / trials
        reach = 1.96 * np.sqrt(rate * (1 - rate) / trials)
        return Interval(rate - reach, rate + reach)

    monkeypatch.setattr(coverage, "clopper_pearson", wald)
    held, error = coverage.coverage(coverage.clopper_pearson_holds(0.99), 2000)
    assert held < 0.95 - 3 * error
