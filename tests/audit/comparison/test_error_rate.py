"""How often the verdict of a comparison is wrong, by simulation."""

from typing import Any

import pytest

from benchmarks import comparisons

AUDITS = 60


@pytest.fixture
def few_resamples(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.statistics.paired_means.RESAMPLES", 199)


@pytest.mark.slow
@pytest.mark.parametrize("simulation", comparisons.SIMULATIONS, ids=lambda s: s.name)
@pytest.mark.usefixtures("few_resamples")
def test_a_verdict_is_hardly_ever_wrong(simulation: comparisons.Simulation) -> None:
    wrong, error = comparisons.measure(simulation, AUDITS)
    assert wrong <= 0.05 + 3 * error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "mutant"),
    [
        ("not_worse", lambda pairs, margin: 0.0 if -pairs.difference < margin else 1.0),
        ("holm", lambda p_values: p_values / 2),
    ],
)
@pytest.mark.usefixtures("few_resamples")
def test_the_simulation_refuses_other_audits(
    name: str, mutant: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One that passes where the margin is not exceeded here; one that tests classes one by one."""
    monkeypatch.setattr(f"audit.comparison.testing.{name}", mutant)
    assert any(
        wrong > 0.05 + 3 * error
        for wrong, error in (comparisons.measure(each, AUDITS) for each in comparisons.SIMULATIONS)
    )
