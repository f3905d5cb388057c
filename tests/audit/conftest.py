"""Classifiers whose invariance is known beforehand, on 8 x 8 grey images."""

import numpy as np
import pytest
from numpy.typing import NDArray

from artifact.identity import ModelIdentity
from audit import Classifier, Thresholds
from imaging import grid_symmetries


def linear(weights: NDArray[np.int64]) -> Classifier:
    """Integer weights [K, C, H, W]: sums are exact, so invariance can hold bit for bit."""

    def classify(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.einsum("nchw,kchw->nk", images.astype(np.int64), weights).astype(np.float32)

    return classify


@pytest.fixture(scope="session")
def weights() -> NDArray[np.int64]:
    return np.random.default_rng(1).integers(-50, 51, (5, 1, 8, 8))


@pytest.fixture(scope="session")
def plain(weights: NDArray[np.int64]) -> Classifier:
    return linear(weights)


@pytest.fixture(scope="session")
def invariant(weights: NDArray[np.int64]) -> Classifier:
    """A linear classifier whose weights are summed over their orbit under D4."""
    return linear(sum((g(weights) for g in grid_symmetries("D4")), np.zeros_like(weights)))


@pytest.fixture(scope="session")
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(2).integers(0, 256, (400, 1, 8, 8), dtype=np.uint8)


@pytest.fixture
def thresholds() -> Thresholds:
    return Thresholds(class_agreement=None)  # classes have tests of their own


@pytest.fixture
def model() -> ModelIdentity:
    return ModelIdentity(name="m", version=1, sha256="0" * 64, group="D4", precision="fp32")
