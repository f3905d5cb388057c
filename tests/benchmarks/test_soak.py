"""The long run: what it counts as wrong or lost, and a short one."""

import shutil
import time
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.serving.model import open_model_under_test
from benchmarks.serving.server import Server
from benchmarks.soak import CALLS, CHANNELS, CONNECTIONS, Soak, soak

MODELS = Path(__file__).parents[2] / "model_repository"
DUE = {b"request": b"answer"}


@pytest.fixture
def run() -> Soak:
    """A run in which all went well."""
    done = Soak(Server(0, 0, "", 0.0), 2, DUE, early=100, late=105)
    for _ in range(2):
        done.take(b"request", b"answer")
    return done


def test_what_goes_well_is_met(run: Soak) -> None:
    assert run.report()[1]


def test_a_wrong_answer_a_lost_one_and_grown_memory_are_not(run: Soak) -> None:
    assert not replace(run, wrong=1).report()[1]
    assert not replace(run, late=106).report()[1]
    run.take(b"request", b"another")
    assert run.wrong == 1
    run.wrong = 0
    run.lose("HTTP 503")
    lines, met = run.report()
    assert not met
    assert "lost: HTTP 503" in lines


def test_what_a_killed_worker_had_in_hand_may_be_lost_and_no_more(run: Soak) -> None:
    run.killed = time.monotonic()
    for _ in range(CONNECTIONS + CHANNELS * CALLS + 1):
        run.lose("the connection was reset")
    assert run.report()[1]
    run.lose("the connection was reset")
    assert not run.report()[1]


@pytest.mark.slow
def test_a_short_run_finds_nothing_wrong_and_nothing_lost(tmp_path: Path) -> None:
    """Memory is not held against its bar: so few requests say nothing of it."""
    for name in ("rotmnist-c4-int8", "rotmnist-cnn"):
        shutil.copytree(MODELS / name, tmp_path / name)
    file = tmp_path / "rotmnist-c4-int8" / "1" / "model.onnx"
    lines, _ = soak(open_model_under_test(file, 1), 1000, 2)
    assert lines[1:3] == ["wrong answers: 0, none accepted: met", "lost: 0, none accepted: met"]
    assert lines[3].endswith(": met")
