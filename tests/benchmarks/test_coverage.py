"""The simulated audits tell an audit that holds what it states from one that does not."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from artifact.values import Interval
from audit.statistics import clopper_pearson, shuffle_test, trials_to_settle
from audit.units import Units, single_units
from benchmarks.coverage import intervals, noise, table, verdicts
from benchmarks.coverage.line import Line, Measured, measure


def found(lines: Callable[[], object], statement: str, truth: str) -> Line:
    """The first line that says so."""
    return next(
        each
        for each in lines()  # type: ignore[attr-defined]
        if each.statement == statement and truth in each.truth
    )


def measured(line: Line, audits: int) -> Measured:
    return measure(line, audits * line.cost)


@pytest.mark.slow
def test_every_line_of_the_table_holds() -> None:
    for each in table.simulate(100, 2):
        assert each.holds, str(each)


def test_an_interval_that_is_too_narrow_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    def wald(successes: int, trials: int, confidence: float) -> Interval:
        rate = successes / trials
        reach = 1.96 * np.sqrt(rate * (1 - rate) / trials)
        return Interval(rate - reach, rate + reach)

    monkeypatch.setattr(intervals, "clopper_pearson", wald)
    assert not measure(Line("", "", intervals.clopper_pearson_misses(0.99)), 2000).holds


def less_sure(successes: int, trials: int, confidence: float) -> Interval:
    return clopper_pearson(successes, trials, 0.3)


def no_doubts(*_: object, **__: object) -> tuple[()]:
    return ()


def each_alone(images: np.ndarray, *_: object) -> Units:
    return single_units(len(images))


def of_each_image(rotated: object, again: object, batches: object) -> float:
    """As if images were exchanged, not calls."""
    return shuffle_test(rotated, again, np.arange(len(batches)))  # type: ignore[arg-type]


TURNS, ANGLES = "PASS, quarter turns", "PASS, angles"
MUTANTS = [
    # (the part that is broken, how, the line that finds it, audits)
    ("audit.figures.clopper_pearson", less_sure, verdicts, TURNS, "98.99% of images keep", 60),
    ("audit.angles.figures.clopper_pearson", less_sure, verdicts, ANGLES, "94.99% of images", 20),
    (
        *("audit.figures.clopper_pearson", less_sure, verdicts),
        *("FAIL, quarter turns", "99.00% of images keep", 40),
    ),
    ("audit.verdict.class_doubts", no_doubts, verdicts, TURNS, "one class of four", 10),
    ("audit.angles.verdict.class_doubts", no_doubts, verdicts, ANGLES, "one class of four", 10),
    ("benchmarks.coverage.samples.find_units", each_alone, verdicts, TURNS, "parts do", 5),
    ("benchmarks.coverage.samples.find_units", each_alone, verdicts, TURNS, "distinct images", 5),
    ("benchmarks.coverage.samples.find_units", each_alone, verdicts, ANGLES, "parts do", 5),
    ("audit.units.Units.split", lambda self, _: self, verdicts, TURNS, "backs of parts", 30),
    (
        *("audit.statistics.labels.holm", lambda p_values: p_values, intervals),
        *("no class is called below, Holm", "10 classes", 100),
    ),
    (
        *("audit.phrases.trials_to_settle", partial(trials_to_settle, power=0.5), verdicts),
        *("so many images settle it, quarter turns", "99.80%", 60),
    ),
    (
        *("audit.angles.verdict._resampler_alone_fails", lambda *_: False, verdicts),
        *("FAIL, angles", "91% keep their label, and rotated back as many", 20),
    ),
    (
        *("audit.statistics.labels._losing_more", lambda *_: 0.0, verdicts),
        *("FAIL, angles", "one class of four keeps 60%", 10),
    ),
    (
        *("audit.verdict._moved_by_rotation", lambda *_: True, noise),
        *("FAIL, quarter turns", "about 2 % of labels", 10),
    ),
    (
        *("audit.figures.shuffle_test", of_each_image, noise),
        *("FAIL, quarter turns", "every call is scaled", 100),
    ),
    (
        *("audit.figures.shuffle_test", lambda *_: 1.0, noise),
        *("no FAIL, quarter turns", "one of two machines", 5),
    ),
]


@pytest.mark.parametrize(
    ("part", "broken", "module", "statement", "truth", "audits"),
    [pytest.param(*each, marks=[pytest.mark.slow] * (each[-1] > 5)) for each in MUTANTS],
)
def test_what_is_stated_holds_and_an_audit_with_a_part_broken_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
    part: str,
    broken: object,
    module: object,
    statement: str,
    truth: str,
    audits: int,
) -> None:
    whole = measured(found(module.lines, statement, truth), audits)  # type: ignore[attr-defined]
    assert whole.rate <= whole.line.most + 3 * whole.error
    monkeypatch.setattr(part, broken)
    line = found(module.lines, statement, truth)  # type: ignore[attr-defined]
    assert not measured(line, audits).holds
