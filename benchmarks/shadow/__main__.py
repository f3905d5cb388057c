"""Measure the latency of requests with and without shadow audits; print a table and bars."""

import argparse
import os
import sys
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.serving import wrk
from benchmarks.serving.model import open_model_under_test
from benchmarks.serving.rounds import WrongAnswerError, say
from benchmarks.serving.server import ServerError
from benchmarks.shadow.report import CONFIDENCE, RESAMPLES, bars, rows, table
from benchmarks.shadow.rounds import CLOSED_SECONDS, CYCLES, PHASE, Run
from service.settings import ConfigurationError


def main() -> None:
    """Run all rounds."""
    options = _options()
    if not wrk.available():
        sys.exit("The load generator wrk is not installed; it is Debian's package wrk.")
    before = os.getloadavg()[0]
    try:
        under_test = open_model_under_test(options.model, options.threads)
    except ConfigurationError as error:
        sys.exit(f"--model: {error}")
    rounds, refused = [], []
    run = Run(under_test, options.shares, options.turns, options.rate, options.burden / 1e6)
    for number in range(options.rounds):
        say(f"round {number + 1} of {options.rounds}")
        try:
            rounds.append(run.round(number))
        except (wrk.LoadError, ServerError, WrongAnswerError) as error:
            refused.append(f"round {number + 1}: {error}")
            say(refused[-1])
    if not rounds:
        sys.exit(f"No round was measured; {refused[0]}")
    say(f"comparing, {RESAMPLES} times")
    found = rows(rounds)
    card = under_test.card
    burden = f"; a burden of {options.burden:g} microseconds" if options.burden else ""
    print(
        f"{describe_machine()}, load average {before:.1f} before; {card.name} version "
        f"{card.version}, {card.precision}, sessions of {under_test.threads} thread(s); single "
        f"images as OIP binary; {run.rate:,.0f} requests/s at random times{burden}.\n"
        f"Latencies of {len(rounds)} round(s) of {options.turns} turn(s), in each state "
        f"{CYCLES} times {PHASE} s at random times and {CLOSED_SECONDS} s under 32 connections; "
        f"of ratios a {CONFIDENCE:.0%} interval in brackets.\n"
    )
    print("\n".join(table(found)) + "\n")
    for reason in refused:
        print(f"not measured: {reason}")
    for bar in bars(found):
        print(f"bar: {bar}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.shadow", description=__doc__)
    parser.add_argument(
        "--model",
        type=Path,
        default=Path("model_repository/rotmnist-c4-int8/1/model.onnx"),
        help="<repository>/<name>/<version>/model.onnx",
    )
    parser.add_argument("--shares", type=float, nargs="+", default=[0.01, 0.1, 1.0])
    parser.add_argument("--rounds", type=int, default=2)
    parser.add_argument("--turns", type=int, default=9, help="of each share and load in each round")
    parser.add_argument(
        "--rate",
        type=float,
        help="requests/s at random times; else half of what one connection gets",
    )
    parser.add_argument(
        "--burden",
        type=float,
        default=0,
        help="microseconds for which a request keeps the service busy while audits are on, "
        "to see that it is noticed",
    )
    parser.add_argument("--threads", type=int, help="of every session; else all of the machine's")
    return parser.parse_args()


if __name__ == "__main__":
    main()
