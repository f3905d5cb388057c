"""Train both rounds, and print the errors on the validation digits."""

import argparse
import math
import multiprocessing
import time
from collections.abc import Mapping
from dataclasses import replace
from multiprocessing.synchronize import Barrier
from pathlib import Path

from benchmarks.variants.candidates import (
    FIRST_ROUND,
    NARROW,
    Candidate,
    candidate,
    second_round,
)
from benchmarks.variants.timed import looks, train_until
from models.checkpoint import Run
from models.datasets import rotmnist
from models.devices import Device, find_device
from models.experiment import Experiment
from models.teachers import teacher_of


def main() -> None:
    """Run the comparison; nothing is looked at but the validation digits."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=300, help="for both rounds together")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="cuda")
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--out", type=Path, default=Path("runs/variants"))
    options = parser.parse_args()

    start = time.time()
    first = {name: (candidate(*what, NARROW), 0) for name, what in FIRST_ROUND.items()}
    errors = compare(first, [], start + options.seconds / 2, options)
    best = sorted(errors, key=lambda name: errors[name])
    second = second_round(errors)
    compare(second, best, start + options.seconds, options)


def compare(
    candidates: Mapping[str, tuple[Candidate, int]],
    best: list[str],
    end: float,
    options: argparse.Namespace,
) -> dict[str, float]:
    """Train all at once, a process each, print and return their last errors."""
    spawn = multiprocessing.get_context("spawn")
    together = spawn.Barrier(len(candidates), timeout=120)
    processes = []
    for name, (chosen, count) in candidates.items():
        teachers = [options.out / other for other in best[:count]]
        arguments = (name, chosen, teachers, options.data, options.out, options.device)
        processes.append(spawn.Process(target=_train, args=(*arguments, end, together)))
        processes[-1].start()
    for process in processes:
        process.join()
    errors = {}
    for name in candidates:
        seen = looks(options.out / name)
        errors[name] = seen[-1].validation_error if seen else math.inf
        curve = " ".join(f"{look.epoch}:{look.validation_error:.2f}" for look in seen)
        print(f"{name:24} {errors[name]:.2f} % of the validation digits; {curve}")
    return errors


def _train(
    name: str,
    chosen: Candidate,
    teachers: list[Path],
    data: Path,
    out: Path,
    device: Device,
    end: float,
    together: Barrier,
) -> None:
    experiment = Experiment(name, chosen.network, chosen.recipe, rotmnist.read(data))
    experiment = replace(
        experiment, teachers=tuple(teacher_of(Run.open(each)) for each in teachers)
    )
    train_until(experiment, out / name, find_device(device), end, together)


if __name__ == "__main__":
    main()
