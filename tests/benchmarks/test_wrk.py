"""What wrk's script prints is read back, and errors are never counted as answers."""

import json

import pytest

from benchmarks.serving.wrk import ERRORS, LoadError, parse

COUNTED = {
    "requests": 6000,
    "microseconds": 2_000_000,
    "latencies": [[1000, 3000], [2000, 2900], [4000, 100]],
}
BEFORE = "Running 2s test @ http://127.0.0.1:1\n  1 threads and 32 connections\n"


def printed(**changes):
    return BEFORE + json.dumps(COUNTED | dict.fromkeys(ERRORS, 0) | changes) + "\n"


def test_figures_are_in_seconds():
    load = parse(printed())
    assert (load.rate, load.p50, load.p99) == (3000.0, 0.0015, 0.004)


@pytest.mark.parametrize("kind", ERRORS)
def test_a_single_error_refuses_the_load(kind):
    with pytest.raises(LoadError, match=f"with errors: 1 {kind}"):
        parse(printed(**{kind: 1}))


def test_no_answers_and_no_figures_are_refused():
    with pytest.raises(LoadError, match="no request was answered"):
        parse(printed(requests=0))
    with pytest.raises(LoadError, match="no figures"):
        parse(BEFORE)
