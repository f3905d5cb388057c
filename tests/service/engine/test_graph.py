"""A graph runs where it says, padded or not, and says the same either way."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import numpy_helper

from artifact.audit_set import load_audit_set
from artifact.batch_sizes import buckets
from service.engine import GpuOptions, ProviderCandidates, Session, Signature, select
from service.engine.graph import Graph
from service.engine.providers import CPU, on_cuda, start
from tests.artifact.test_batch_sizes import asking_for_the_batch

MODELS = Path(__file__).parents[3] / "model_repository"
gpu = pytest.mark.skipif(not Path("/dev/nvidia0").exists(), reason="this machine has no GPU")
# Buffers at fixed addresses and padded batches, as on a GPU, in the CPU's own memory.
BOUND = ProviderCandidates((dataclasses.replace(CPU, memory=("cpu", 0)),))


@pytest.fixture(scope="module")
def whole(turning: bytes) -> bytes:
    """`turning` with whole numbers for parameters, so that every sum of its logits is exact."""
    model = onnx.load_from_string(turning)
    for tensor in model.graph.initializer:
        if tensor.name in ("filters", "weights", "bias", "scale"):
            values = np.sign(numpy_helper.to_array(tensor)).astype(np.float32)
            tensor.CopyFrom(numpy_helper.from_array(values, tensor.name))
    return model.SerializeToString()


def test_padded_batches_in_fixed_buffers_are_answered_alike(
    whole: bytes, signature: Signature, images: Any
) -> None:
    bare = start(whole, CPU, threads=1)
    graph = Graph(whole, signature, BOUND, threads=1, max_batch_size=12)
    kept = []
    for rows in range(1, 13):
        parts = np.array_split(images[rows : 2 * rows], min(rows, 3))
        kept.append((images[rows : 2 * rows], graph.compute(parts)))
    for batch, (logits, _) in kept:  # read after all: no batch overwrites another's answer
        np.testing.assert_array_equal(logits, bare.run(["logits"], {"image": batch})[0])


def test_the_nodes_that_run_are_recorded(turning: bytes, signature: Signature) -> None:
    graph = Graph(turning, signature, select("cpu"), threads=1, max_batch_size=4)
    assert list(graph.nodes) == ["CPUExecutionProvider"]
    kinds = sorted(node.rpartition("(")[2].rstrip(")") for node in graph.nodes[CPU.providers[0]])
    written = sorted(node.op_type for node in onnx.load_from_string(turning).graph.node)
    assert kinds == written


@pytest.mark.anyio
async def test_batched_answers_are_those_of_the_bare_session_bit_for_bit(
    whole: bytes, signature: Signature, images: Any
) -> None:
    import asyncio

    bare = start(whole, CPU, threads=1)
    session = Session(whole, signature, select("cpu"), threads=1)
    sizes = [1, 3, 70, 1, 2, 64, 5, 1, 1]
    starts = np.cumsum([0, *sizes])
    batches = [images[a : a + n] for a, n in zip(starts, sizes, strict=False)]
    answers = await asyncio.gather(*(session.infer(batch) for batch in batches))
    for batch, answer in zip(batches, answers, strict=True):
        alone = np.concatenate([bare.run(["logits"], {"image": one[None]})[0] for one in batch])
        np.testing.assert_array_equal(answer.logits, alone)
    np.testing.assert_array_equal(
        session.logits(images), bare.run(["logits"], {"image": images})[0]
    )
    session.close()


@pytest.mark.gpu
@gpu
@pytest.mark.parametrize("graphs", [False, True])
def test_every_bucket_runs_on_cuda_and_answers_as_the_cpu_does(
    turning: bytes, signature: Signature, images: Any, graphs: bool
) -> None:
    candidates = select("cuda", GpuOptions(graphs=graphs))
    on_gpu = Graph(turning, signature, candidates, threads=1, max_batch_size=16)
    on_cpu = Graph(turning, signature, select("cpu"), threads=1, max_batch_size=16)
    assert list(on_gpu.nodes) == ["CUDAExecutionProvider"]
    for rows in (1, 2, 3, 7, 16, 5, 1):
        batch = [images[rows : 2 * rows]]
        np.testing.assert_allclose(
            on_gpu.compute(batch).logits, on_cpu.compute(batch).logits, atol=1e-4
        )


@pytest.mark.gpu
@gpu
def test_a_session_on_cuda_repeats_itself_bit_for_bit(
    turning: bytes, signature: Signature, images: Any
) -> None:
    session = Session(turning, signature, select("cuda"), threads=1)
    np.testing.assert_array_equal(session.logits(images), session.logits(images))
    session.close()


@pytest.mark.parametrize(
    "options",
    [
        None,
        pytest.param(GpuOptions(), marks=[pytest.mark.gpu, gpu]),
        pytest.param(GpuOptions(tf32=True, graphs=True), marks=[pytest.mark.gpu, gpu]),
    ],
    ids=["fixed buffers of the CPU", "CUDA", "CUDA, TF32, graphs"],
)
def test_integers_have_the_same_bits_on_every_device_however_an_image_is_turned(
    options: GpuOptions | None,
) -> None:
    """TF32 rounds factors to eleven bits, and theirs have eight."""
    folder = MODELS / "rotmnist-c4-integer" / "1"
    file, signature = (folder / "model.onnx").read_bytes(), Signature(1, 28, 10)
    audit = load_audit_set(folder / "audit.npz").images[:64]
    candidates = BOUND if options is None else select("cuda", options)
    tried = Graph(file, signature, candidates, threads=1, max_batch_size=64)
    expected = (
        Graph(file, signature, select("cpu"), threads=1, max_batch_size=64).compute([audit]).logits
    )
    for turns in range(4):
        turned = np.ascontiguousarray(np.rot90(audit, turns, (2, 3)))
        np.testing.assert_array_equal(tried.compute([turned]).logits, expected)
    np.testing.assert_array_equal(tried.compute([audit[:3]]).logits, expected[:3])


def test_options_of_a_gpu_reach_onnxruntime() -> None:
    cuda = on_cuda(GpuOptions(memory_bytes=2**30, tf32=True))
    assert cuda.options["CUDAExecutionProvider"] == {
        "device_id": "0",
        "gpu_mem_limit": str(2**30),
        "cudnn_conv_algo_search": "HEURISTIC",
        "use_tf32": "1",
        "enable_cuda_graph": "0",
    }
    assert cuda.memory == ("cuda", 0)
    assert "CUDAExecutionProvider" in onnxruntime.get_all_providers()


@pytest.mark.parametrize("threads", [1, 2])
def test_a_file_that_asks_for_the_batch_is_run_in_batches_that_were_tried(
    turning: bytes, signature: Signature, images: Any, threads: int
) -> None:
    """In another it might read beyond an empty tensor, and end the process."""
    graph = Graph(asking_for_the_batch(turning), signature, select("cpu"), threads, 12, quick=True)
    expected = Graph(turning, signature, select("cpu"), 1, 64).compute([images[:40]])
    found = graph.compute([images[:6], images[6:40]])
    asked = found.logits - expected.logits
    assert {*np.round(asked).ravel()} <= {*buckets(12)}
    np.testing.assert_allclose(asked, np.round(asked), atol=1e-4)
    np.testing.assert_allclose(found.probabilities, expected.probabilities, rtol=1e-4, atol=1e-6)
