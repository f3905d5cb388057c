"""The comparison of networks and recipes within a given time."""

import dataclasses
import multiprocessing
import time

import numpy as np
import pytest
import torch

from benchmarks.variants import timed
from benchmarks.variants.candidates import (
    FIRST_ROUND,
    LAYOUTS,
    NARROW,
    REGULARISED,
    WIDE,
    candidate,
    second_round,
)
from benchmarks.variants.timed import looks, train_until
from imaging import FitPolicy
from models.checkpoint import Run
from models.datasets.data_set import DataSet
from models.datasets.split import Split
from models.experiment import Experiment
from models.networks import Convolution, Network, NetworkSpec, multiply_adds
from models.recipe import Recipe
from models.training import error_percent

LIMIT = 5_000_000
"""Bytes that a file of the model repository may have; a weight of int8 takes one."""


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_fits_into_the_repository_as_integers(layout):
    network = Network(candidate(layout, "deformed", WIDE).network)
    linear = [layer for layer in network.body if hasattr(layer, "expand")]
    baked = sum(conv.weight.numel() for layer in linear for conv in layer.expand())
    assert baked < 0.95 * LIMIT


def test_a_restricted_network_costs_what_the_unrestricted_one_does():
    late, restricted = (
        Network(candidate(layout, "deformed", NARROW).network) for layout in ("late", "restricted")
    )
    assert multiply_adds(late) == multiply_adds(restricted)


def test_the_second_round_follows_from_the_errors_of_the_first():
    errors = dict.fromkeys(FIRST_ROUND, 1.0)
    errors |= {"early-mixed": 0.7, "restricted-deformed": 0.8, "late-deformed": 0.9}
    chosen = second_round(errors)
    alone, teachers = chosen["large-alone"]
    expected = candidate("restricted", "mixed", WIDE)
    assert alone.network == expected.network
    assert alone.recipe.mixing == REGULARISED["mixed"][0].mixing > 0
    assert teachers == 0
    taught, teachers = chosen["large-taught"]
    assert taught.network == expected.network
    assert (taught.recipe.teaching, teachers) == (0.5, 3)
    students = [chosen[name][0].network for name in ("c4-taught", "c4-small-taught")]
    costs = [multiply_adds(Network(network)) for network in students]
    assert costs[0] <= 25e6
    assert costs[1] <= 6e6


def noise(count, seed):
    random = np.random.default_rng(seed)
    images = random.integers(0, 256, (count, 1, 6, 6), np.uint8)
    return Split(images, random.integers(0, 2, count))


def experiment():
    network = NetworkSpec(
        group="C4",
        size=6,
        classes=2,
        mean=0.5,
        deviation=0.3,
        layers=(Convolution(channels=2, kernel=3),),
    )
    splits = noise(320, 0), noise(10, 1), noise(40, 2)
    data = DataSet("noise", ("a", "b"), "none", "0" * 64, FitPolicy(6), *splits)
    return Experiment("noise", network, Recipe(epochs=1, batch_size=32), data)


def trained(folder, monkeypatch, *, seconds, step):
    monkeypatch.setattr(timed, "_seconds_a_step", lambda *_: step)
    train_until(experiment(), folder, torch.device("cpu"), time.time() + seconds, None)
    run, seen = Run.open(folder), looks(folder)
    epochs = len(run.training().history)
    assert seen[-1].epoch == epochs
    assert seen[-1].validation_error == error_percent(run.network(), experiment().data.validation)
    return epochs, run.info.recipe.epochs


@pytest.mark.slow
def test_the_epochs_follow_from_the_time(tmp_path, monkeypatch):
    """A minute, of which 92 % are planned with, has five epochs of ten steps of a second."""
    assert trained(tmp_path, monkeypatch, seconds=60, step=1.0) == (5, 5)


def test_a_run_that_is_late_is_cut(tmp_path, monkeypatch):
    epochs, planned = trained(tmp_path, monkeypatch, seconds=0.1, step=1e-9)
    assert 1 <= epochs < planned


def test_a_step_is_measured_beside_the_others(tmp_path):
    together = multiprocessing.get_context("spawn").Barrier(1)
    seconds = timed._seconds_a_step(experiment(), torch.device("cpu"), None, together)
    assert 0 < seconds < 60
    assert together.n_waiting == 0


def test_it_needs_validation_images(tmp_path):
    data = dataclasses.replace(experiment().data, validation=None)
    nothing = dataclasses.replace(experiment(), data=data)
    with pytest.raises(ValueError, match="no validation images"):
        train_until(nothing, tmp_path, torch.device("cpu"), time.time(), None)
