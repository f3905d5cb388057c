"""How long a training will take, by a few of its steps."""

import time

import torch

from models.datasets.split import Split
from models.networks import NetworkSpec
from models.recipe import Recipe
from models.targets import Teacher
from models.training import Training, error_percent

STEPS = 3
"""Steps that are timed, after as many that are not: the first ones are slower."""


def seconds_an_epoch(
    spec: NetworkSpec,
    recipe: Recipe,
    train: Split,
    validation: Split | None = None,
    *,
    device: torch.device | None = None,
    teacher: Teacher | None = None,
) -> float:
    """Return how long an epoch on ``train`` takes, with the judgement of its held-out images.

    A network of its own is trained for it, and forgotten.
    """
    images = len(train) - recipe.validation
    few = train[: min(images, STEPS * recipe.batch_size)]
    views = recipe.views
    short = {"epochs": 4 if views else 2, "validation": 0, "patience": None}
    short["views"] = 2 if views else None
    trial = Training(spec, recipe.model_copy(update=short), device, teacher)
    timed = [epoch.seconds for epoch in trial.epochs(few)]
    seconds = timed[-1]
    if views:  # in the first epochs a teacher is asked
        seconds += (timed[1] - seconds) * min(1, views / recipe.epochs)
    seconds *= images / len(few)
    judges = train[images:] or validation
    if judges:
        sample = judges[: len(few)]
        start = time.perf_counter()
        error_percent(trial.network, sample)
        seconds += (time.perf_counter() - start) * len(judges) / len(sample)
    return seconds
