"""The table of all simulated audits."""

import argparse
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from functools import cache, partial

from artifact.cpus import cpu_budget
from benchmarks import selftests
from benchmarks.coverage import intervals, noise, verdicts, whole
from benchmarks.coverage.line import HEAD, Line, Measured, measure


def lines() -> Iterator[Line]:
    """Yield every line, in order."""
    for part in (intervals, verdicts, noise, whole):
        yield from part.lines()


def main() -> None:
    """Simulate and print a Markdown table, then that of the self-tests.

    The status is 1 if anything is wrong more often than it may be.
    """
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.coverage", description=simulate.__doc__
    )
    parser.add_argument(
        "--audits", type=int, default=500, help="simulated a line; fewer where one takes long"
    )
    parser.add_argument("--processes", type=int, default=cpu_budget(), help="that simulate at once")
    options = parser.parse_args()
    print(f"{HEAD}", flush=True)
    wrong = 0
    for measured in simulate(options.audits, options.processes):
        print(measured, flush=True)
        wrong += not measured.holds
    print()
    selftests.main()
    raise SystemExit(1 if wrong else 0)


def simulate(audits: int, processes: int) -> Iterator[Measured]:
    """Simulate audits whose truth is known and print how often what they state is wrong."""
    every = _every()
    with ProcessPoolExecutor(processes) as pool:
        found = pool.map(partial(_measured, audits=audits), range(len(every)))
        for done, (line, (rate, error)) in enumerate(zip(every, found, strict=True), 1):
            print(f"{done} of {len(every)}", end="\r", file=sys.stderr, flush=True)
            yield Measured(line, rate, error)


def _measured(index: int, audits: int) -> tuple[float, float]:
    """Measure a line in a process of its own, which makes the lines since it cannot be sent one."""
    measured = measure(_every()[index], audits)
    return measured.rate, measured.error


@cache
def _every() -> tuple[Line, ...]:
    return tuple(lines())
