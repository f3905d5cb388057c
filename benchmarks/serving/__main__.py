"""Measure, then print Markdown tables and the bars; every figure goes to a file as JSON."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.serving import endurance, wrk
from benchmarks.serving.environments import python_of, version_of
from benchmarks.serving.model import ModelUnderTest, open_model_under_test
from benchmarks.serving.report import Results, markdown, to_json
from benchmarks.serving.rounds import Run, say
from benchmarks.serving.server import ServerError
from benchmarks.serving.systems import OURS, SYSTEMS, System
from service.settings import ConfigurationError

BUILD = Path("build")
NAMES = [system.name for system in SYSTEMS]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the comparison."""
    options = _options(arguments)
    if not wrk.available():
        sys.exit("The load generator wrk is not installed; it is Debian's package wrk.")
    load = os.getloadavg()[0]
    try:
        under_test = open_model_under_test(options.model, options.threads)
    except ConfigurationError as error:
        sys.exit(f"--model: {error}")
    systems = [system for system in SYSTEMS if system.name in options.systems]
    run = Run(under_test, (BUILD / "rivals").resolve(), options.seconds)
    run.install(systems)
    versions = _versions(run, systems)
    rounds = []
    for number in range(options.rounds):
        say(f"round {number + 1} of {options.rounds}")
        rounds.append(run.round(systems))
    memory, ready = None, list[float]()
    ours = next((system for system in systems if system.name == OURS), None)
    if ours is not None and OURS not in run.refused:
        requests = (200, 2_000) if options.quick else (20_000, 200_000)
        try:
            memory = endurance.memory(run, ours, *requests)
            ready = endurance.readiness(run, ours, 1 if options.quick else 5)
        except (ServerError, wrk.LoadError) as error:
            run.refused["memory and readiness"] = str(error)
    results = Results(
        machine=f"{describe_machine()}, load average {load:.1f} before",
        model=_described(under_test),
        versions=versions,
        rounds=rounds,
        refused=run.refused,
        memory=memory,
        ready=ready,
    )
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(to_json(results))
    print(markdown(results))


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument(
        "--model",
        type=Path,
        default=Path("model_repository/rotmnist-c4-int8/1/model.onnx"),
        help="<repository>/<name>/<version>/model.onnx",
    )
    parser.add_argument(
        "--systems", type=_names, default=NAMES, help=f"some of {','.join(NAMES)}; else all"
    )
    parser.add_argument("--rounds", type=_positive, default=5)
    parser.add_argument("--seconds", type=_positive, default=4, help="of each case in each round")
    parser.add_argument(
        "--threads", type=_positive, help="of every session; else all that the machine allows"
    )
    parser.add_argument("--json", type=Path, default=BUILD / "serving.json")
    parser.add_argument(
        "--quick", action="store_true", help="one round of a second: shows that it runs, no more"
    )
    options = parser.parse_args(arguments)
    if options.quick:
        options.rounds = options.seconds = 1
    return options


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(NAMES):
        raise argparse.ArgumentTypeError(
            f"{', '.join(sorted(unknown))}; accepted are {', '.join(NAMES)}"
        )
    return names


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{number} is less than 1")
    return number


def _described(under_test: ModelUnderTest) -> str:
    card = under_test.card
    return (
        f"{card.name} version {card.version}, {card.precision}; sessions of {under_test.threads} "
        "thread(s) that do not spin; wrk on one thread on the same cores"
    )


def _versions(run: Run, systems: list[System]) -> dict[str, str]:
    """Return the version of each system that was installed."""
    return {
        system.package: version_of(
            python_of(run.environments / system.name)
            if system.requirements
            else Path(sys.executable),
            system.package,
        )
        for system in systems
        if system.name not in run.refused
    }


if __name__ == "__main__":
    main()
