"""Which networks are compared, and their training, which goes on where it was interrupted."""

from collections.abc import Iterator
from pathlib import Path

import torch

from benchmarks.study.systems import AUGMENTED, SEEDS, SIZES, SYSTEMS, Job, System
from models.checkpoint import Run
from models.datasets import rotmnist
from models.datasets.data_set import DataSet
from models.experiment import Experiment
from models.layers import GroupBatchNorm
from models.networks import Network

PLAIN, _, C4, _ = SYSTEMS

KINDS: tuple[tuple[System, int], ...] = (
    (PLAIN, 1),
    (AUGMENTED, 1),
    (C4, 1),
    (AUGMENTED, 4),
)
"""Systems and factors of their width.

At width 1 all have as many parameters. The augmented network of width 4 has C4's error.
"""

UNTRAINED = tuple(kind for kind in KINDS if kind != (AUGMENTED, 1))
"""Kinds whose networks are measured before training, too; augmentation alone makes no other one."""

_WIDE = 4
"""From this width on steps are computed in bfloat16, which takes a third less time."""

_NORMALISED_BY = 500
"""Training images whose statistics the batch normalisation of an untrained network has."""


def kind_jobs(system: System, width: int) -> tuple[Job, ...]:
    """Return a kind's trainings, which differ in their seed."""
    return tuple(Job(system, max(SIZES), seed, width) for seed in SEEDS)


def all_jobs() -> Iterator[Job]:
    """Yield all trainings, those of small networks first."""
    for system, width in KINDS:
        yield from kind_jobs(system, width)


def kind_name(system: System, width: int) -> str:
    """Return what tables call a kind."""
    return system.name if width == 1 else f"{system.name}, width x {width}"


def train(job: Job, data_folder: Path, runs: Path) -> None:
    """Train one network in a folder of its own, or what is left of its training."""
    data = rotmnist.read(data_folder)
    run = _run(job, data, runs)
    if (run.folder / "weights.safetensors").exists():
        return
    training = run.training()
    for _ in training.epochs(data.train):
        run.record(training)
    run.keep(training.result)


def trained(job: Job, data: DataSet, runs: Path) -> Network:
    """Return the network that `train` kept."""
    return _run(job, data, runs).network()


def untrained(job: Job, data: DataSet) -> Network:
    """Return the network that the training began with.

    Its batch normalisation has the statistics of some training images: without them, it would not
    be one.
    """
    torch.manual_seed(job.seed)
    network = Network(job.network())
    for module in network.modules():
        if isinstance(module, GroupBatchNorm):
            module.momentum = 1.0
    with torch.inference_mode():
        network(torch.from_numpy(data.train.images[:_NORMALISED_BY]))
    return network.eval()


def _run(job: Job, data: DataSet, runs: Path) -> Run:
    name = "-".join(str(part).replace(", ", "-").replace(" ", "-") for part in job.key)
    recipe = job.recipe()
    if job.width >= _WIDE:
        recipe = recipe.model_copy(update={"arithmetic": "bfloat16"})
    experiment = Experiment(name, job.network(), recipe, data)
    return Run.begin(runs / name, experiment.info, resume=True)
