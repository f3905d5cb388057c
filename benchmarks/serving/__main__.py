"""Measure, then print Markdown tables and the bars; every figure goes to a file as JSON."""

import argparse
import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.serving import endurance, photographs, wrk
from benchmarks.serving.environments import python_of, version_of
from benchmarks.serving.model import ModelUnderTest, open_model_under_test
from benchmarks.serving.photographs import Photographs
from benchmarks.serving.report import Results, markdown, to_json
from benchmarks.serving.resnet import ModelError
from benchmarks.serving.rounds import Round, Run, say
from benchmarks.serving.server import ServerError
from benchmarks.serving.systems import OURS, PHOTOGRAPH_SYSTEMS, SYSTEMS, System
from service.settings import ConfigurationError

BUILD = Path("build")
RIVALS = (BUILD / "rivals").resolve()
NAMES = [system.name for system in SYSTEMS]
OF_PHOTOGRAPHS = [system.name for system in PHOTOGRAPH_SYSTEMS]
PARTS = ["digits", "photographs", "memory", "readiness"]


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
    asked_digits = "digits" in options.only
    systems = [
        system
        for system in SYSTEMS
        if system.name in options.systems and (asked_digits or system.name in OF_PHOTOGRAPHS)
    ]
    run = Run(under_test, RIVALS, options.seconds)
    run.install(systems)
    versions = _versions(run, systems)
    rounds: list[Round] = []
    for number in range(options.rounds if asked_digits else 0):
        say(f"round {number + 1} of {options.rounds}")
        rounds.append(run.round(systems))
    of_photographs = _photographs(options, run) if "photographs" in options.only else None
    memory, ready = None, list[float]()
    ours = next((system for system in systems if system.name == OURS), None)
    if ours is not None and OURS not in run.refused:
        requests = (200, 2_000) if options.quick else (20_000, 200_000)
        try:
            if "memory" in options.only:
                memory = endurance.memory(run, ours, *requests)
            if "readiness" in options.only:
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
        photographs=of_photographs,
    )
    options.json.parent.mkdir(parents=True, exist_ok=True)
    options.json.write_text(to_json(results))
    print(markdown(results))


def _photographs(options: argparse.Namespace, run: Run) -> Photographs | None:
    """Measure with photographs; what fails stands beside what failed with digits."""
    systems = [system for system in PHOTOGRAPH_SYSTEMS if system.name in options.systems]
    try:
        under_test = photographs.prepare((BUILD / "resnet50").resolve(), options.threads)
    except ModelError as error:
        run.refused["photographs"] = str(error)
        return None
    own = Run(under_test, RIVALS, options.seconds, photographs.CONNECTIONS, large=False)
    measured = photographs.measure(own, systems, options.rounds)
    run.refused |= {f"photographs: {what}": reason for what, reason in own.refused.items()}
    return measured


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.serving", description=__doc__)
    parser.add_argument(
        "--model",
        type=Path,
        default=Path("model_repository/rotmnist-c4-int8/1/model.onnx"),
        help="<repository>/<name>/<version>/model.onnx",
    )
    parser.add_argument(
        "--systems",
        type=partial(_some, NAMES),
        default=NAMES,
        help=f"some of {','.join(NAMES)}; else all",
    )
    parser.add_argument(
        "--only",
        type=partial(_some, PARTS),
        default=PARTS,
        help=f"some of {','.join(PARTS)}; else all",
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


def _some(known: Sequence[str], text: str) -> list[str]:
    names = text.split(",")
    if unknown := set(names) - set(known):
        raise argparse.ArgumentTypeError(
            f"{', '.join(sorted(unknown))}; accepted are {', '.join(known)}"
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
