"""Files that several rooms are tried with."""

import gc
import os
import re
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

# Each process of pytest-xdist has one core, and threads would wait for one another.
os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import onnx
import pytest
import structlog
from hypothesis import settings
from onnx import helper, numpy_helper

import artifact  # noqa: F401 -- before onnxruntime
from artifact.cpus import cpu_budget
from tests.chromium import started

# Rare faults are for what tries many: `make fuzz`, and slow tests that say how many they try.
# The same examples in every run, so that what fails is what was changed;
# `--hypothesis-profile=random` looks for others.
settings.register_profile("suite", max_examples=30, deadline=None, derandomize=True)
settings.register_profile("random", settings.get_profile("suite"), derandomize=False)
settings.load_profile("suite")

# Each of the processes that tests start would compile the project, and each run the tests, anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
# jsonschema compiles a grammar of IRIs, in two seconds, and no schema here speaks of any.
sys.modules["rfc3987_syntax"] = None  # type: ignore[assignment]

# Tests measure what they speak of, and write nothing to anybody's folder.
os.environ["ORBITSERVE_CACHE"] = "off"

_SLOW = re.compile(r"^pytestmark = \[?pytest\.mark\.slow\b", re.MULTILINE)


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    """Do not even import, for the quick set, what holds slow tests alone."""
    if config.option.markexpr == "not slow" and collection_path.suffix == ".py":
        return bool(_SLOW.search(collection_path.read_text())) or None
    return None


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    """Start one process more than there are CPUs for slow tests, which wait for what they start.

    With two on two CPUs, a quarter of the time of these was left.
    """
    return cpu_budget() + (config.option.markexpr == "slow")


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what imports have made, and come less often.

    It took a tenth of the quick set's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


@pytest.fixture(autouse=True)
def logging_as_before() -> Iterator[None]:
    """Let no test leave behind how a service logs that it ran in this process."""
    before = structlog.get_config()
    yield
    if structlog.get_config() != before:
        structlog.configure(**before)


@pytest.fixture(scope="session")
def exporter() -> Iterator[None]:
    """Let torch's exporter make its table of operators once, instead of for each network."""
    from torch.onnx._internal.exporter._registration import ONNXRegistry

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            ONNXRegistry, "from_torchlib", staticmethod(cache(ONNXRegistry.from_torchlib))
        )
        yield


@pytest.fixture(scope="session")
def doubtful() -> Callable[[bytes], bytes]:
    """Make a file scale its logits by a sum of floats, which it computes itself.

    The order of such a sum is the runtime's choice, so that its proof needs one.
    """

    def scaled(data: bytes) -> bytes:
        model = onnx.load_from_string(data)
        graph, logits = model.graph, "logits"
        if logits not in {value.name for value in graph.output}:
            logits = graph.output[0].name
        for node in graph.node:
            node.input[:] = ["raw" if name == logits else name for name in node.input]
            node.output[:] = ["raw" if name == logits else name for name in node.output]
        axes, tenths = np.array([0], np.int64), np.array([0.9, 0.1], np.float32)
        graph.initializer.append(numpy_helper.from_array(tenths, "tenths"))
        graph.initializer.append(numpy_helper.from_array(axes, "first"))
        graph.node.append(helper.make_node("ReduceSum", ["tenths", "first"], ["one"], keepdims=0))
        graph.node.append(helper.make_node("Mul", ["raw", "one"], [logits]))
        return model.SerializeToString()

    return scaled


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    """One for the tests of a module."""
    with started() as browser:
        yield browser
