"""One network of the study: trained, measured, and turned into a line of figures."""

import time
from pathlib import Path
from typing import Any

import torch

from benchmarks.study.measures import guarantee, redundancy
from benchmarks.study.systems import SIZES, Job
from models.datasets import rotmnist
from models.networks import free_parameters, multiply_adds
from models.training import Training, error_percent

# The study's networks are tested on the first 10,000 of the 50,000 test digits, and at 36 angles on
# the first 1,000 of them. Nothing is chosen by these figures.
TESTED, ROTATED = 10_000, 1000


def use_one_thread() -> None:
    """Let this process compute on one core: others compute beside it."""
    torch.set_num_threads(1)


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
        "free_parameters": free_parameters(network),
        "multiply_adds": multiply_adds(network),
        "test_error": error_percent(network, data_set.test[:TESTED]),
        "redundancy": redundancy(network),
        "redundancy_untrained": untrained,
    }
    if job.images == max(SIZES):
        figures |= guarantee(network, data_set.test[:ROTATED])._asdict()
    return figures | {"seconds": round(time.perf_counter() - start, 1)}
