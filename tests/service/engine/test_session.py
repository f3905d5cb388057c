"""A session runs the graph that its card promises, on one thread that is not the event loop's."""

import asyncio
import threading
import time
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import helper

from service.engine import GraphError, Limits, Session, Signature, select

CPU = select("cpu")


@pytest.fixture
def session(turning: bytes, signature: Signature) -> Any:
    session = Session(turning, signature, CPU, threads=1)
    yield session
    session.close()


@pytest.mark.parametrize(
    ("channels", "size", "classes", "names"),
    [(3, 8, 4, "[N, 3, 8, 8]"), (1, 9, 4, "[N, 1, 9, 9]"), (1, 8, 5, "5 classes")],
)
def test_a_graph_that_is_not_its_cards_is_refused(
    turning: bytes, channels: int, size: int, classes: int, names: str
) -> None:
    with pytest.raises(GraphError) as refused:
        Session(turning, Signature(channels, size, classes), CPU, threads=1)
    assert names in str(refused.value)


def changed(graph: bytes, change: Any) -> bytes:
    model = onnx.load_from_string(graph)
    change(model.graph)
    return model.SerializeToString()


def rename_output(graph: Any) -> None:
    graph.node[-1].output[0] = graph.output[1].name = "scores"


def fix_batch(graph: Any) -> None:
    graph.input[0].type.tensor_type.shape.dim[0].dim_value = 1


def take_floats(graph: Any) -> None:
    graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.FLOAT


def divide_by_zero(graph: Any) -> None:
    graph.node[-1].input[0] = "broken"
    graph.node.insert(len(graph.node) - 1, helper.make_node("Log", ["logits"], ["broken"]))


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (rename_output, "'probabilities' of float32 is due"),
        (fix_batch, "[1, 1, 8, 8]"),
        (take_floats, "uint8 is due"),
        (divide_by_zero, "not finite"),
    ],
)
def test_a_graph_outside_of_the_contract_is_refused(
    turning: bytes, signature: Signature, change: Any, names: str
) -> None:
    with pytest.raises(GraphError) as refused:
        Session(changed(turning, change), signature, CPU, threads=1)
    assert names in str(refused.value)


def test_bytes_that_are_no_graph_are_refused(signature: Signature) -> None:
    with pytest.raises(GraphError, match="does not take the graph"):
        Session(b"no graph", signature, CPU, threads=1)


def test_arrays_of_any_memory_order_are_classified_alike(session: Session, images: Any) -> None:
    turned = np.rot90(images[:8], axes=(2, 3))
    assert not turned.flags.c_contiguous
    np.testing.assert_array_equal(
        session.logits(turned), session.logits(np.ascontiguousarray(turned))
    )


def test_siblings_share_the_thread(session: Session, plain: bytes, images: Any) -> None:
    before = threading.active_count()
    sibling = session.sibling(plain)
    session.run(images), sibling(images)
    assert threading.active_count() <= before + 1
    assert (sibling(images) != session.logits(images)).any()


@pytest.mark.slow
@pytest.mark.anyio
async def test_the_event_loop_runs_while_a_batch_does(
    turning: bytes, signature: Signature, images: Any
) -> None:
    many = np.concatenate([images] * 200)
    session = Session(turning, signature, CPU, threads=1, limits=Limits(len(many), len(many)))
    beats, longest, started = 0, 0.0, time.perf_counter()
    inference = asyncio.ensure_future(session.infer(many))
    while not inference.done():
        began = time.perf_counter()
        await asyncio.sleep(0.001)
        longest = max(longest, time.perf_counter() - began)
        beats += 1
    assert len(inference.result().logits) == len(many)
    assert beats > 10
    assert longest < 0.5 * (time.perf_counter() - started)
    session.close()


@pytest.mark.parametrize(
    "images",
    [np.zeros((1, 1, 8, 9), np.uint8), np.zeros((1, 1, 8, 8)), np.zeros((0, 1, 8, 8), "u1")],
)
@pytest.mark.anyio
async def test_what_is_no_image_of_the_graph_never_joins_a_batch(
    session: Session, images: Any
) -> None:
    with pytest.raises(ValueError, match="accepted"):
        await session.infer(images)
    with pytest.raises(ValueError, match="accepted"):
        session.run(images)
