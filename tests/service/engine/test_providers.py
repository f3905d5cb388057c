"""A device is started or refused with the reason; it is never replaced in silence."""

import importlib.util
from pathlib import Path

import numpy as np
import numpy.typing as npt
import onnxruntime
import pytest

from service.engine import DeviceUnavailableError, Session, Signature, nvidia, select
from service.engine.providers import (
    CPU,
    GpuOptions,
    ProviderConfiguration,
    _one_node,
    on_cuda,
    on_tensorrt,
    start,
    why_not_started,
)

Images = npt.NDArray[np.uint8]
CUDA = on_cuda(GpuOptions())
no_gpu = pytest.mark.skipif(Path("/dev/nvidia0").exists(), reason="this machine has a GPU")


@no_gpu
@pytest.mark.parametrize("device", ["cuda", "tensorrt"])
def test_a_device_that_does_not_start_is_refused_with_the_linkers_reason(device: str) -> None:
    with pytest.raises(DeviceUnavailableError, match=rf"device={device} .* does not start: .*lib"):
        select(device)  # type: ignore[arg-type]


@no_gpu
def test_auto_takes_the_cpu_and_says_why() -> None:
    candidates = select("auto")
    assert candidates.configurations == (CPU,)
    assert candidates.note is not None
    assert "lib" in candidates.note


def test_auto_prefers_cuda_where_it_starts() -> None:
    assert select("auto", why_not=lambda _: None).configurations == (CUDA, CPU)


@no_gpu
def test_onnxruntime_itself_would_have_fallen_back(capfd: pytest.CaptureFixture[str]) -> None:
    """The trap: the same request, made plainly, runs on the CPU. Both fences of `start` hold."""
    session = onnxruntime.InferenceSession(_one_node(), providers=["CUDAExecutionProvider"])
    assert session.get_providers() == ["CPUExecutionProvider"]
    with pytest.raises(RuntimeError, match="fallback to CPU EP has been explicitly disabled"):
        start(_one_node(), CUDA, threads=1, quiet=True)
    lax = ProviderConfiguration("cpu", CUDA.options)  # the name that asks for no strictness
    with pytest.raises(RuntimeError, match="started CPUExecutionProvider instead"):
        start(_one_node(), lax, threads=1, quiet=True)
    capfd.readouterr()


@no_gpu
def test_a_failed_probe_prints_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    assert why_not_started(CUDA)
    assert capfd.readouterr() == ("", "")


@no_gpu
@pytest.mark.skipif(
    importlib.util.find_spec("nvidia") is None, reason="the extra `gpu` is not installed"
)
def test_with_nvidias_libraries_installed_the_driver_alone_is_missing() -> None:
    reason = why_not_started(CUDA)
    assert reason is not None
    assert reason.startswith("libcuda.so.1: cannot open shared object file")


def test_a_session_that_gave_nodes_to_another_provider_is_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    placed = {"CPUExecutionProvider": ["a (Relu)"], "OtherExecutionProvider": ["b (Conv)"]}
    monkeypatch.setattr("service.engine.providers.placed_nodes", lambda _: placed)
    with pytest.raises(RuntimeError, match="gave nodes to OtherExecutionProvider too"):
        start(_one_node(), CPU, threads=1)


def test_options_of_tensorrt_reach_onnxruntime(tmp_path: Path) -> None:
    configuration = on_tensorrt(
        GpuOptions(graphs=True, tensorrt_fp16=True, tensorrt_cache=tmp_path)
    )
    assert configuration.providers == ["TensorrtExecutionProvider", "CUDAExecutionProvider"]
    assert configuration.options["TensorrtExecutionProvider"] == {
        "device_id": "0",
        "trt_fp16_enable": "1",
        "trt_engine_cache_enable": "1",
        "trt_engine_cache_path": str(tmp_path),
        "trt_cuda_graph_enable": "1",
    }
    assert configuration.options["CUDAExecutionProvider"]["enable_cuda_graph"] == "0"


def test_the_cpu_always_starts() -> None:
    assert why_not_started(CPU) is None


@pytest.mark.gpu
@pytest.mark.skipif(not Path("/dev/nvidia0").exists(), reason="this machine has no GPU")
def test_cuda_runs_every_node(turning: bytes, signature: Signature, images: Images) -> None:
    on_gpu = Session(turning, signature, select("cuda"), threads=1)
    on_cpu = Session(turning, signature, select("cpu"), threads=1)
    assert on_gpu.configuration == CUDA
    assert list(on_gpu.nodes) == ["CUDAExecutionProvider"]
    np.testing.assert_allclose(on_gpu.logits(images), on_cpu.logits(images), atol=1e-5)
    on_gpu.close(), on_cpu.close()


def test_nvidias_libraries_are_found_in_any_folder_of_pythons_path(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where onnxruntime was installed beside a Python that has PyTorch."""
    folders = [tmp_path / "nvidia" / name / "lib" for name in ("cudnn", "cu13", "cu12")]
    for folder in folders:
        folder.mkdir(parents=True)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(onnxruntime, "cuda_version", "13.0")
    asked = []
    monkeypatch.setattr(onnxruntime, "preload_dlls", lambda **options: asked.append(options))
    nvidia.preload()
    cudnn, cuda, _ = map(str, folders)
    assert {"cuda": True, "cudnn": False, "directory": cuda} in asked
    assert {"cuda": False, "cudnn": True, "directory": cudnn} in asked
    assert not [options for options in asked if "cu12" in options.get("directory", "")]
    assert asked[-1] == {}  # what is installed beside onnxruntime, or in the system
