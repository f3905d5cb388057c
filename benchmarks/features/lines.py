"""A kind of network, measured: a line of figures."""

import time
from pathlib import Path
from typing import Any

from benchmarks.features.figures import layer_figures
from benchmarks.features.kinds import kind_jobs, kind_name, trained, untrained
from benchmarks.features.reading import read_layers
from benchmarks.study.systems import System
from models.datasets import rotmnist
from models.groups import Group
from models.layers import GroupLinearMap
from models.networks import Network, free_parameters, multiply_adds
from models.training import error_percent

IMAGES = 4000
"""Of the validation digits; linear functions are fitted on half of them."""


def measure_kind(
    system: System, width: int, is_trained: bool, data: Path, runs: Path
) -> dict[str, Any]:
    """Return the figures of a kind's networks on the validation digits.

    These were neither trained on nor tested on, and nothing is chosen by what is measured here.
    """
    start = time.perf_counter()
    data_set = rotmnist.read(data)
    if data_set.validation is None:
        raise ValueError("Rotated MNIST has no validation digits.")
    networks = [
        trained(job, data_set, runs) if is_trained else untrained(job, data_set)
        for job in kind_jobs(system, width)
    ]
    orbit = Group.named(system.group).order
    layers = read_layers(networks, data_set.validation.images[:IMAGES])
    return {
        "key": (system.name, width, is_trained),
        "kind": kind_name(system, width),
        "trained": is_trained,
        "orbit": orbit,
        "free_parameters": free_parameters(networks[0]),
        "multiply_adds": multiply_adds(networks[0]),
        "errors": [error_percent(network, data_set.validation) for network in networks],
        "layers": [
            {"free_parameters": size} | layer_figures(layer, orbit)
            for size, layer in zip(_layer_sizes(networks[0]), layers, strict=True)
        ],
        "seconds": round(time.perf_counter() - start, 1),
    }


def _layer_sizes(network: Network) -> list[int]:
    """Return how many values are trained for each convolution."""
    return [free_parameters(m) for m in network.body if isinstance(m, GroupLinearMap)]
