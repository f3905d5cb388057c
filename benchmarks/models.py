"""The shipped models side by side: error, size and speed of the bare session, in one run.

Run ``python -m benchmarks.models``. Speeds are medians over rounds in which all models take turns.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from artifact.audit_set import load_audit_set
from artifact.contract import INPUT
from artifact.layout import AUDIT_FILE
from benchmarks.machine import describe_machine
from service.engine.providers import CPU, start
from service.repository.local import open_model
from service.repository.version import ServedModel
from service.settings import Settings

BATCH = 32


def main() -> None:
    """Measure, then print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=1.0, help="of each model in each round")
    options = parser.parse_args()

    settings = Settings(device="cpu", repository=options.repository)
    names = sorted(folder.name for folder in options.repository.iterdir() if folder.is_dir())
    models = [open_model(name, settings) for name in names]
    sessions = [start(model.read_graph(), CPU, model.session.threads) for model in models]
    batches = [load_audit_set(model.folder / AUDIT_FILE).images[:BATCH] for model in models]
    rates: list[list[float]] = [[] for _ in models]
    for number in range(1 + options.rounds):
        for i, model in enumerate(models):
            print(f"round {number}: {model.card.name}", file=sys.stderr)
            rate = images_per_second(sessions[i], batches[i], options.seconds)
            if number:  # the first round warms everything
                rates[i].append(rate)
    print_table(models, [statistics.median(measured) for measured in rates])


def images_per_second(session: Any, batch: NDArray[np.uint8], seconds: float) -> float:
    """Run ``batch`` again and again for ``seconds``."""
    runs, begun = 0, time.perf_counter()
    while time.perf_counter() < begun + seconds:
        session.run(None, {INPUT: batch})
        runs += 1
    return runs * len(batch) / (time.perf_counter() - begun)


def print_table(models: list[ServedModel], rates: list[float]) -> None:
    """Print what stands on the cards, and the speeds."""
    print(f"{describe_machine()}; batches of {BATCH}\n")
    print(
        "| model | group | trained | baked | multiply-adds | test error | images/s | of the first |"
    )
    print("| --- | --- | --- | --- | --- | --- | --- | --- |")
    for model, rate in zip(models, rates, strict=True):
        card, size = model.card, model.card.size
        print(
            f"| `{card.name}` {card.version} | {card.group} | {size.free_parameters:,} "
            f"| {size.baked_parameters:,} | {size.multiply_adds:,} "
            f"| {card.metrics['test'].error_percent:.2f} % | {rate:,.0f} | {rate / rates[0]:.2f} |"
        )


if __name__ == "__main__":
    main()
