"""The simulated audits tell a procedure that holds what it states from one that does not."""

from collections.abc import Callable
from functools import partial

import numpy as np
import pytest

from artifact.values import Interval
from audit.statistics import clopper_pearson, shuffle_test, trials_to_settle
from audit.units import single_units
from benchmarks.coverage import intervals, noise, table, verdicts, whole
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


INTERVALS = [
    ("Clopper-Pearson, 256 images", "95.0%", 300),
    ("agreement band, 36 angles", "99.0%", 100),
    ("no class is called below, Holm", "10 classes", 300),
]
TURNS = [
    ("PASS, quarter turns", "98.99% of images keep", 200),
    ("PASS, quarter turns", "parts do", 30),
    ("PASS, quarter turns", "distinct images", 30),
    ("PASS, quarter turns", "one class of four", 100),
    ("PASS, quarter turns", "labels unknown", 60),
    ("PASS, quarter turns", "backs of parts", 30),
    ("FAIL, quarter turns", "99.00% of images keep", 200),
    ("FAIL, quarter turns", "all of 10 classes", 600),
    ("so many images settle it, quarter turns", "99.80%", 60),
]
ANGLES = [
    ("PASS, angles", "94.99% of images keep", 80),
    ("PASS, angles", "parts do", 30),
    ("PASS, angles", "one class of four", 50),
    ("FAIL, angles", "95.00% of images keep", 60),
    ("FAIL, angles", "all of 2 classes", 60),
    ("FAIL, angles", "91% keep their label, and turned back as many", 60),
    ("FAIL, angles", "one class of four keeps 60%", 60),
]
NOISE = [
    ("FAIL, quarter turns", "about 2 % of labels", 40),
    ("FAIL, quarter turns", "one answer of 1,000", 20),
    ("FAIL, quarter turns", "every call is scaled", 40),
    ("no FAIL, quarter turns", "one of two machines", 20),
]
WHOLE = [
    ("PASS, quarter turns", "72 images", 20),
    ("FAIL, angles", "144 images", 10),
    ("no PASS, angles", "400 images", 10),
]


@pytest.mark.parametrize(
    ("lines", "statement", "truth", "audits"),
    [
        (part.lines, *case)
        for part, cases in (
            (intervals, INTERVALS),
            (verdicts, TURNS + ANGLES),
            (noise, NOISE),
            (whole, WHOLE),
        )
        for case in cases
    ],
)
def test_what_is_stated_holds(
    lines: Callable[[], object], statement: str, truth: str, audits: int
) -> None:
    line = found(lines, statement, truth)
    result = measured(line, audits)
    assert result.rate <= line.most + 3 * result.error


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


def of_each_image(turned: object, again: object, batches: object) -> float:
    """As if images were exchanged, not calls."""
    return shuffle_test(turned, again, np.arange(len(batches)))  # type: ignore[arg-type]


MUTANTS = [
    # (the parts that are broken, how, the line that finds it, audits)
    ("audit.figures.clopper_pearson", less_sure, verdicts, *TURNS[0]),
    ("audit.angles.figures.clopper_pearson", less_sure, verdicts, *ANGLES[0]),
    ("audit.figures.clopper_pearson", less_sure, verdicts, *TURNS[6]),
    ("audit.verdict.class_doubts", lambda *_, **__: (), verdicts, *TURNS[3]),
    ("audit.angles.verdict.class_doubts", lambda *_, **__: (), verdicts, *ANGLES[2]),
    (
        "benchmarks.coverage.samples.find_units",
        lambda images, *_: single_units(len(images)),
        verdicts,
        *TURNS[1],
    ),
    (
        "benchmarks.coverage.samples.find_units",
        lambda images, *_: single_units(len(images)),
        verdicts,
        *TURNS[2],
    ),
    (
        "benchmarks.coverage.samples.find_units",
        lambda images, *_: single_units(len(images)),
        verdicts,
        *ANGLES[1],
    ),
    ("audit.units.Units.split", lambda self, classes: self, verdicts, *TURNS[5]),
    ("audit.statistics.labels.holm", lambda p_values: p_values, verdicts, *TURNS[7]),
    ("audit.phrases.trials_to_settle", partial(trials_to_settle, power=0.5), verdicts, *TURNS[8]),
    ("audit.angles.verdict._resampler_loses", lambda *_: False, verdicts, *ANGLES[5]),
    ("audit.statistics.labels._losing_more", lambda *_: 0.0, verdicts, *ANGLES[6]),
    ("audit.verdict._moved_by_turning", lambda *_: True, noise, *NOISE[0]),
    pytest.param(
        *("audit.figures.shuffle_test", of_each_image, noise, *NOISE[2][:2], 100),
        marks=pytest.mark.slow,
    ),
    ("audit.figures.shuffle_test", lambda *_: 1.0, noise, *NOISE[3]),
]


@pytest.mark.parametrize(("part", "broken", "module", "statement", "truth", "audits"), MUTANTS)
def test_a_procedure_with_a_part_broken_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
    part: str,
    broken: object,
    module: object,
    statement: str,
    truth: str,
    audits: int,
) -> None:
    monkeypatch.setattr(part, broken)
    line = found(module.lines, statement, truth)  # type: ignore[attr-defined]
    assert not measured(line, audits).holds
