"""What wrk's script prints is read back, and errors are never counted as answers."""

import json

import pytest

from benchmarks.serving import h2load
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


H2LOAD = """
finished in 5.00s, 2.00 req/s, 97.84KB/s
requests: 3 total, 4 started, 3 done, 3 succeeded, 0 failed, 0 errored, 0 timeout
traffic: 489.21KB (500957) total, 165.35KB (169317) headers (space savings 21.43%), 1KB (300) data
"""
LOG = ["1000000\t200\t1000", "1500000\t200\t2000", "2500000\t200\t500000"]


def test_calls_by_grpc_are_counted_and_refusals_are_none() -> None:
    load = h2load.parse(H2LOAD, LOG, 100)
    assert (load.requests, load.seconds) == (3, 2.0)
    assert load.p50 == 0.002
    with pytest.raises(LoadError, match="or were refused"):
        h2load.parse(H2LOAD, LOG, 101)  # an answer had no body
    with pytest.raises(LoadError, match="or were refused"):
        h2load.parse(H2LOAD.replace("3 succeeded, 0 failed", "2 succeeded, 1 failed"), LOG, 100)
    with pytest.raises(LoadError, match="no figures"):
        h2load.parse("", LOG, 100)
    with pytest.raises(LoadError, match="no request"):
        h2load.parse(H2LOAD, [], 100)
