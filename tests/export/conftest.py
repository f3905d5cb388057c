import shutil
from functools import cache

import numpy as np
import pytest
import torch

from export.bake import bake
from export.graph import to_onnx
from export.package import package
from models.checkpoint import Run
from models.datasets.split import Split
from models.networks import Convolution, MaxPooling, Network, NetworkSpec
from models.recipe import Recipe
from models.run_info import Result, RunInfo


def specification(group):
    return NetworkSpec(
        group=group,
        size=12,
        classes=3,
        mean=0.4,
        deviation=0.3,
        layers=(
            Convolution(channels=3, kernel=5),
            MaxPooling(kernel=2, stride=2),
            Convolution(channels=4, kernel=3, padding=1),
            Convolution(channels=4, kernel=2),
        ),
        dropout=0.1,
    )


def _network(group):
    """Return a network whose batch normalisations have seen data: folding them in matters."""
    torch.manual_seed(0)
    network = Network(specification(group))
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.ndim == 1 and "body" in name:
                parameter.uniform_(0.5, 1.5)
        for _ in range(5):
            network(torch.from_numpy(_noise().images))
    return network.eval()


def _noise(count=520):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, 1, 12, 12), np.uint8)
    return Split(images, random.integers(0, 3, count))


@pytest.fixture(scope="session")
def make_network():
    return _network


@pytest.fixture(scope="session")
def exported(exporter):
    """Return a function from a group to its network's file, which its tests leave as it is."""

    @cache
    def export(group):
        network = _network(group)
        return to_onnx(bake(network), network.spec, {"group": group, "precision": "fp32"})

    return export


@pytest.fixture(scope="session")
def test_images():
    return _noise()


def _finish(folder, group, **more):
    given = {
        "network": specification(group),
        "recipe": Recipe(epochs=1),
        "data_set": "noise",
        "data_sha256": "0" * 64,
        "data_licence": "none",
        "classes": ("a", "b", "c"),
    }
    info = RunInfo(**given | more)
    run = Run.begin(folder, info, resume=False)
    result = Result(test_error_percent=66.0, test_count=520)
    run.keep(_network(group))
    run.finish(result, _noise()[:512])
    return run


@pytest.fixture
def finished_run(tmp_path, exporter):
    """Return a function from a group, and more of `RunInfo`, to a finished run."""
    return lambda group, **more: _finish(tmp_path / "runs" / group, group, **more)


@pytest.fixture(scope="session")
def packaged(tmp_path_factory, exporter):
    """A repository with version 1 of `toy`, of C4 and of images of 12 bits."""
    folder = tmp_path_factory.mktemp("packaged")
    run = _finish(folder / "run", "C4", white_level=4095)
    package(run, folder / "repository", "toy")
    return folder / "repository"


@pytest.fixture
def repository(packaged, tmp_path):
    """A copy of it."""
    return shutil.copytree(packaged, tmp_path / "repository")
