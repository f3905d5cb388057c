"""One network: trained, and tested once."""

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from audit.evaluation.figures import evaluation_figures
from audit.evaluation.probabilities import probabilities
from audit.evaluation.schema import EvaluationFigures
from benchmarks.cells.precision import average_precision
from benchmarks.cells.systems import SPLITS, Job
from imaging.refusal import RefusedError
from models.checkpoint import Run
from models.datasets import elpv
from models.datasets.data_set import DataSet
from models.datasets.split import Split
from models.devices import Arithmetic
from models.experiment import Experiment
from models.networks import NetworkSpec, free_parameters, multiply_adds
from models.recipe import Recipe
from models.training import Training

_CONFIDENCE = 0.95


def trained(name: str, network: NetworkSpec, recipe: Recipe, data: DataSet, runs: Path) -> Training:
    """Return the training of a network, which goes on where it was interrupted.

    A line is written for each epoch.
    """
    run = Run.begin(runs / name, Experiment(name, network, recipe, data).info, resume=True)
    training = run.training()
    for epoch in training.epochs(data.train):
        run.record(training)
        print(
            f"{name}: epoch {epoch.epoch}, error on training cells {epoch.train_error:.1f} %, "
            f"{epoch.seconds:.0f} s",
            file=sys.stderr,
            flush=True,
        )
    return training


def measure(job: Job, epochs: int, arithmetic: Arithmetic, runs: Path) -> dict[str, Any]:
    """Train one network and return its figures on the test cells, and on those of each kind.

    Intervals are for modules where these were drawn for the test, and else for single cells.
    """
    network = job.system.network()
    changes = {"epochs": epochs, "arithmetic": arithmetic, "seed": job.seed}
    recipe = job.system.recipe().model_copy(update=changes)
    data = elpv.read(network.size, job.split)
    name = "-".join(str(part).replace(",", "").replace(" ", "-") for part in job.key)
    training = trained(name, network, recipe, data, runs)
    return {
        "key": job.key,
        "epochs": epochs,
        "arithmetic": arithmetic,
        "free_parameters": free_parameters(training.result),
        "multiply_adds": multiply_adds(training.result),
        "train_error": training.history[-1].train_error,
        "seconds": round(sum(epoch.seconds for epoch in training.history)),
        "figures": _figures(training.result, data.test, job.split),
    }


def run_figures(folder: Path) -> dict[str, Any]:
    """Return the figures that `measure` has, of a finished run of either split.

    Raises
    ------
    RefusedError
        If the folder has no finished run, or one of other images.
    """
    run = Run.open(folder)
    network = run.network()
    for split in SPLITS:
        data = elpv.read(network.spec.size, split)
        if data.sha256 == run.info.data_sha256:
            return _figures(network, data.test, split)
    raise RefusedError(f"{folder} holds a run of other images than solar cells.")


def _figures(network: nn.Module, test: Split, split: elpv.Unit) -> dict[str, Any]:
    answers = logits(network, test.images)
    cells = elpv.find_cells()
    kind = cells.kind[cells.split(split)[1]]
    everything = np.ones(len(kind), np.bool_)
    parts = {"all": everything, "mono": kind == "mono", "poly": kind == "poly"}
    return {
        name: _summary(answers[part], test.labels[part], _units(test.groups, part))
        for name, part in parts.items()
    }


def logits(network: nn.Module, images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return the logits float32 [N, K] that ``network`` gives images, in float32."""
    network.eval()
    with torch.inference_mode():
        batches = torch.from_numpy(images).split(32)
        answers: NDArray[np.float32] = torch.cat([network(batch) for batch in batches]).numpy()
    return answers


def _units(groups: NDArray[np.int64] | None, part: NDArray[np.bool_]) -> NDArray[np.int64] | None:
    return None if groups is None else groups[part]


def _summary(
    answers: NDArray[np.float32],
    expected: NDArray[np.int64],
    units: NDArray[np.int64] | None,
) -> dict[str, Any]:
    found = probabilities(answers)
    figures = evaluation_figures(found, expected, _CONFIDENCE, units)
    scores = found.logs[:, 1] - found.logs[:, 0]
    return {
        "cells": len(expected),
        "defective": int(expected.sum()),
        "passed": int(((found.labels == 0) & (expected == 1)).sum()),
        "refused": int(((found.labels == 1) & (expected == 0)).sum()),
        "average_precision": average_precision(scores, expected, units, _CONFIDENCE),
        **_with_intervals(figures),
    }


def _with_intervals(figures: EvaluationFigures) -> dict[str, Any]:
    pairs = {
        "accuracy": (figures.accuracy.rate, figures.accuracy.interval),
        "macro_f1": (figures.macro_f1, figures.macro_f1_interval),
        "roc_auc": (figures.roc_auc, figures.roc_auc_interval),
    }
    return {
        name: [value, *([interval.low, interval.high] if interval else [])]
        for name, (value, interval) in pairs.items()
    }
