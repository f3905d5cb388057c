"""One training whose schedule ends at a given time."""

import json
import time
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.synchronize import Barrier
from pathlib import Path
from threading import BrokenBarrierError

import torch

from models.checkpoint import Run
from models.datasets.split import Split
from models.experiment import Experiment
from models.targets import Teacher, mean_of
from models.training import Training, error_percent

# The speed is measured while the others train as well; a part of the time is kept for the looks.
_WARM_UP, _MEASURED, _KEPT = 5, 25, 0.08
_LOOKS = 16


@dataclass(frozen=True)
class Look:
    """The averaged weights' error on the validation digits, in percent, after an epoch."""

    epoch: int
    validation_error: float


def train_until(
    experiment: Experiment, folder: Path, device: torch.device, end: float, together: Barrier
) -> None:
    """Train ``plan`` with as many epochs as end at ``end``, in seconds since the epoch of time.

    The run's folder gets ``looks.jsonl`` beside its own files. A run that is late all the same is
    cut after an epoch, and its recipe says how many epochs were meant.
    """
    torch.set_num_threads(2)
    validation = experiment.data.validation
    if validation is None:
        raise ValueError(f"{experiment.data.name} has no validation images.")
    teacher = mean_of([each.open(device) for each in experiment.teachers])
    step = _seconds_a_step(experiment, device, teacher, together)
    steps = len(experiment.data.train) // experiment.recipe.batch_size
    epochs = max(1, int((end - time.time()) * (1 - _KEPT) / (step * steps)))
    experiment = experiment.with_recipe({"epochs": epochs})
    run = Run.begin(folder, experiment.info, resume=False)
    training = run.training(device, teacher)
    for epoch in training.epochs(experiment.data.train):
        late = time.time() > end
        if late or epoch.epoch % max(1, epochs // _LOOKS) == 0 or epoch.epoch == epochs:
            _look(run, training, validation)
        if late:
            break


def looks(folder: Path) -> list[Look]:
    """Return the looks that a run has had at the validation digits."""
    path = folder / "looks.jsonl"
    lines = path.read_text().splitlines() if path.exists() else []
    return [Look(**json.loads(line)) for line in lines]


def _look(run: Run, training: Training, validation: Split) -> None:
    """Keep the state and the weights of the epoch that just ended, and their error."""
    run.record(training)
    run.keep(training.result)
    look = {
        "epoch": len(training.history),
        "validation_error": error_percent(training.result, validation),
    }
    with (run.folder / "looks.jsonl").open("a") as file:
        file.write(json.dumps(look) + "\n")


def _seconds_a_step(
    experiment: Experiment, device: torch.device, teacher: Teacher | None, together: Barrier
) -> float:
    """Train a copy for some steps beside all others, and return what a step takes."""
    batch = experiment.recipe.batch_size
    trial = Training(
        experiment.network, experiment.recipe.model_copy(update={"epochs": 3}), device, teacher
    )
    epochs = trial.epochs(experiment.data.train[: _WARM_UP * batch])
    next(epochs)
    with suppress(BrokenBarrierError):  # one of the others failed: the rest goes on
        together.wait()
    trial = Training(
        experiment.network, experiment.recipe.model_copy(update={"epochs": 3}), device, teacher
    )
    epochs = trial.epochs(experiment.data.train[: _MEASURED * batch])
    return next(epochs).seconds / min(_MEASURED, len(experiment.data.train) // batch)
