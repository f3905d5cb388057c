"""A quick graph on several threads: large batches are shared out, and come back in their order."""

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from artifact.audit_set import load_audit_set
from service.engine import Session, Signature, select
from service.engine.graph import Graph, _guided

_FOLDER = Path(__file__).parents[3] / "model_repository" / "rotmnist-c4-int8" / "1"
_SIGNATURE = Signature(1, 28, 10)


@pytest.mark.parametrize("count", [1, 31, 32, 33, 47, 64, 200])
def test_shared_out_or_not_the_answers_are_the_same_bits(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.engine.graph.QUICK", 60.0)  # however slow the machine
    data = (_FOLDER / "model.onnx").read_bytes()
    images = load_audit_set(_FOLDER / "audit.npz").images[:count]
    alone, shared = (Graph(data, _SIGNATURE, select("cpu"), threads, 256) for threads in (1, 3))
    sizes: list[int] = []
    run = shared._run

    def noted(part: np.ndarray) -> object:
        sizes.append(len(part))
        return run(part)

    monkeypatch.setattr(shared, "_run", noted)
    due, found = (
        alone.compute([images]),
        shared.compute([images[: count // 2], images[count // 2 :]]),
    )
    assert sum(sizes) == count
    assert (len(sizes) > 1) is (count >= 32)
    for one, other in zip(due, found, strict=True):
        assert np.array_equal(one, other)
    shared.close()


def test_a_slow_graph_takes_all_threads_for_each_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.engine.graph.QUICK", 0.0)
    data = (_FOLDER / "model.onnx").read_bytes()
    session = Session(data, _SIGNATURE, select("cpu"), 3)
    assert not session.graph.quick
    assert session.graph._helpers is None
    assert threads_of(session.graph) == 3
    session.close()


def threads_of(graph: Graph) -> int:
    threads: int = graph._runtime.get_session_options().intra_op_num_threads
    return threads


def test_a_quick_graph_is_found_to_be_though_threads_wait_for_cores(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """By the clock each run takes a second: it is the processor's time that tells."""
    clock = itertools.count()
    monkeypatch.setattr("service.engine.graph.time.perf_counter", lambda: float(next(clock)))
    data = (_FOLDER / "model.onnx").read_bytes()
    graph = Graph(data, _SIGNATURE, select("cpu"), 2, 64)
    assert graph.quick
    assert threads_of(graph) == 1
    graph.close()


def test_a_graph_whose_threads_compute_for_long_is_not_quick(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One of two threads may be done soon, since the other does most: alone it is not."""
    own = iter([*(0.0, 0.0005) * 5, *(0.0, 0.0015) * 5])
    monkeypatch.setattr("service.engine.graph.time.thread_time", lambda: next(own))
    clock = itertools.count()
    monkeypatch.setattr("service.engine.graph.time.perf_counter", lambda: float(next(clock)))
    graph = Graph((_FOLDER / "model.onnx").read_bytes(), _SIGNATURE, select("cpu"), 2, 64)
    assert not graph.quick
    assert threads_of(graph) == 2


def test_what_was_found_of_a_graph_is_not_measured_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(Graph, "_seconds")
    data = (_FOLDER / "model.onnx").read_bytes()
    for quick, threads in ((True, 1), (False, 3)):
        graph = Graph(data, _SIGNATURE, select("cpu"), 3, 64, quick)
        assert graph.quick is quick
        assert threads_of(graph) == threads
        assert (graph._helpers is not None) is quick
        graph.close()


@given(st.integers(32, 512), st.integers(2, 64))
def test_parts_get_smaller_and_none_is_too_small_for_a_run(count: int, threads: int) -> None:
    images = np.arange(count, dtype=np.uint8).reshape(-1, 1, 1, 1)
    parts = _guided(images, threads)
    sizes = list(map(len, parts))
    assert np.array_equal(np.concatenate(parts), images)
    assert sizes == sorted(sizes, reverse=True)
    assert min(sizes[:-1]) >= 4
    assert sizes[0] <= max(4, count / threads)  # however long it takes, others are not kept waiting
