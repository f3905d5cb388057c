"""Train what is missing, append a line a network to docs/study/results.jsonl, draw and tabulate."""

import argparse
import json
import multiprocessing
import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path
from typing import Any

from rich.progress import track

from benchmarks.study.measures import guarantee, redundancy
from benchmarks.study.report import write_report
from benchmarks.study.systems import SIZES, Job, jobs
from models.datasets import rotmnist
from models.networks import Network, free_parameters, multiply_adds
from models.training import Training, error_percent

# The study's networks are tested on the first 10,000 of the 50,000 test digits, and at 36 angles on
# the first 1,000 of them. Nothing is chosen by these figures.
TESTED, TURNED = 10_000, 1000


def main() -> None:
    """Run the study; a line that is there already is not measured again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("data"))
    parser.add_argument("--out", type=Path, default=Path("docs/study"))
    parser.add_argument("--workers", type=int, default=2, help="processes of one thread each")
    options = parser.parse_args()

    options.out.mkdir(parents=True, exist_ok=True)
    results = options.out / "results.jsonl"
    done = {tuple(line["key"]) for line in read(results)}
    missing = [job for job in jobs() if job.key not in done]
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.workers, mp_context=context, initializer=_alone) as pool:
        running = [pool.submit(measure, job, options.data) for job in missing]
        for finished in track(as_completed(running), "networks", total=len(running)):
            with results.open("a") as file:
                file.write(json.dumps(finished.result()) + "\n")
    write_report(list(read(results)), options.out)


def read(results: Path) -> Iterator[dict[str, Any]]:
    """Yield what earlier runs measured."""
    if results.exists():
        yield from map(json.loads, results.read_text().splitlines())


def measure(job: Job, data: Path) -> dict[str, Any]:
    """Train one network and return its figures."""
    data_set = rotmnist.read(data)
    start = time.perf_counter()
    training = Training(job.network(), job.recipe())
    untrained = redundancy(training.network)
    for _ in training.epochs(data_set.train[: job.images]):
        pass
    network = training.result
    figures: dict[str, Any] = {
        "key": job.key,
        "system": job.system.name,
        "width": job.width,
        "images": job.images,
        "seed": job.seed,
        "epochs": job.recipe().epochs,
        "free_parameters": free_parameters(Network(job.network())),
        "multiply_adds": multiply_adds(network),
        "test_error": error_percent(network, data_set.test[:TESTED]),
        "redundancy": redundancy(network),
        "redundancy_untrained": untrained,
    }
    if job.images == max(SIZES):
        figures |= guarantee(network, data_set.test[:TURNED])._asdict()
    return figures | {"seconds": round(time.perf_counter() - start, 1)}


def _alone() -> None:
    import torch

    torch.set_num_threads(1)


if __name__ == "__main__":
    main()
