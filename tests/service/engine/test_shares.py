"""A quick graph on several threads: large batches are shared out, and come back in their order."""

from pathlib import Path

import numpy as np
import pytest

from audit import load_audit_set
from service.engine import Session, Signature, select
from service.engine.graph import Graph

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
    assert len(sizes) == max(1, count // 16)
    for one, other in zip(due, found, strict=True):
        assert np.array_equal(one, other)
    shared.close()


def test_a_slow_graph_takes_all_threads_for_each_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("service.engine.graph.QUICK", 0.0)
    data = (_FOLDER / "model.onnx").read_bytes()
    session = Session(data, _SIGNATURE, select("cpu"), 3)
    assert not session.graph.quick
    assert session.graph._helpers is None
    assert session.graph._runtime.get_session_options().intra_op_num_threads == 3
    session.close()
