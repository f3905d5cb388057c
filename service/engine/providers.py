"""Which execution provider runs a graph, and a refusal wherever onnxruntime would fall back.

onnxruntime lists a provider as available when its build has it, not when it can start, and runs on
the CPU without an error when it cannot. Here every session names its providers, may use no other,
and is asked afterwards what it got.
"""

import ctypes
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field, replace
from io import StringIO
from pathlib import Path
from typing import Any, Literal

import onnxruntime
from onnx import TensorProto, helper

from artifact.session import CPU_PROVIDER, SILENT, WARNINGS, open_session
from imaging.refusal import RefusedError
from service.engine import nvidia

Device = Literal["auto", "cpu", "cuda", "tensorrt"]


class DeviceUnavailableError(RefusedError):
    """The device that was asked for does not start; the message gives onnxruntime's reason."""


@dataclass(frozen=True)
class ProviderConfiguration:
    """Where a session has to run: its execution providers in order of preference, and no other."""

    device: Literal["cpu", "cuda", "tensorrt"]
    options: dict[str, dict[str, str]] = field(hash=False)
    memory: tuple[str, int] | None = None
    """onnxruntime's name of the device's memory and the device's number; None for the CPU's."""

    @property
    def captures(self) -> bool:
        """Whether onnxruntime captures a CUDA graph a batch size."""
        return self.options.get("CUDAExecutionProvider", {}).get("enable_cuda_graph") == "1"

    @property
    def providers(self) -> list[str]:
        """The providers' names in onnxruntime's vocabulary."""
        return list(self.options)


@dataclass(frozen=True)
class ProviderCandidates:
    """The configurations to try for a model, best first, and why a better one was passed over."""

    configurations: tuple[ProviderConfiguration, ...]
    note: str | None = None


@dataclass(frozen=True)
class GpuOptions:
    """How a GPU is used.

    Attributes
    ----------
    memory_bytes
        How much of its memory CUDA's arena may take a session; all of it if None.
    tf32
        Let CUDA round the factors of float32 products to ten bits: faster, and an audit then sees
        changes of 1e-3 where float32 gives 1e-6.
    graphs
        Capture a CUDA graph a batch size.
    tensorrt_fp16
        Let TensorRT compute in half precision.
    tensorrt_cache
        Folder where TensorRT keeps the engines it has built, which takes minutes.
    """

    memory_bytes: int | None = None
    tf32: bool = False
    graphs: bool = False
    tensorrt_fp16: bool = False
    tensorrt_cache: Path | None = None


DEFAULT_GPU = GpuOptions()
CPU = ProviderConfiguration("cpu", {CPU_PROVIDER: {}})

_NUMBER = "0"  # of the GPUs that CUDA_VISIBLE_DEVICES leaves
_MEMORY = ("cuda", int(_NUMBER))


def on_cuda(gpu: GpuOptions) -> ProviderConfiguration:
    """Place a graph on a GPU by CUDA."""
    return ProviderConfiguration("cuda", {"CUDAExecutionProvider": _cuda(gpu)}, _MEMORY)


def on_tensorrt(gpu: GpuOptions) -> ProviderConfiguration:
    """Place a graph on a GPU by TensorRT, and by CUDA what TensorRT does not take."""
    options = {"device_id": _NUMBER, "trt_fp16_enable": _flag(gpu.tensorrt_fp16)}
    if gpu.tensorrt_cache is not None:
        options |= {
            "trt_engine_cache_enable": "1",
            "trt_engine_cache_path": str(gpu.tensorrt_cache),
        }
    # TensorRT captures its own graphs; CUDA's cannot span the two providers.
    if gpu.graphs:
        options["trt_cuda_graph_enable"] = "1"
    beside = _cuda(replace(gpu, graphs=False))
    providers = {"TensorrtExecutionProvider": options, "CUDAExecutionProvider": beside}
    return ProviderConfiguration("tensorrt", providers, _MEMORY)


def _cuda(gpu: GpuOptions) -> dict[str, str]:
    options = {
        "device_id": _NUMBER,
        # By default it benchmarks every batch size when that first comes, and an audit may differ.
        "cudnn_conv_algo_search": "HEURISTIC",
        "use_tf32": _flag(gpu.tf32),
        "enable_cuda_graph": _flag(gpu.graphs),
    }
    if gpu.memory_bytes is not None:
        options["gpu_mem_limit"] = str(gpu.memory_bytes)
    return options


def _flag(on: bool) -> str:
    return "1" if on else "0"


def select(
    device: Device,
    gpu: GpuOptions = DEFAULT_GPU,
    why_not: Callable[[ProviderConfiguration], str | None] | None = None,
) -> ProviderCandidates:
    """Turn the device that was asked for into the configurations that may be tried.

    Parameters
    ----------
    device
        `auto` prefers CUDA where it truly starts; every other name is taken at its word.
    gpu
        How a GPU is used.
    why_not
        Tells why a configuration cannot start, None where it can; by default by starting it.

    Raises
    ------
    DeviceUnavailableError
        If `cuda` or `tensorrt` was asked for and does not start.
    """
    why_not = why_not or why_not_started
    if device == "cpu":
        return ProviderCandidates((CPU,))
    if device == "auto":
        cuda = on_cuda(gpu)
        reason = why_not(cuda)
        if reason is None:
            return ProviderCandidates((cuda, CPU))
        return ProviderCandidates((CPU,), f"the CPU is used because CUDA does not start: {reason}")
    configuration = on_cuda(gpu) if device == "cuda" else on_tensorrt(gpu)
    if (reason := why_not(configuration)) is not None:
        raise DeviceUnavailableError(
            f"device={device} was asked for and {configuration.providers[0]} does not start: "
            f"{reason.rstrip('.')}; device=cpu needs no GPU, and docs/gpu.md says what one needs."
        )
    return ProviderCandidates((configuration,))


def start(
    data: bytes, configuration: ProviderConfiguration, threads: int, *, quiet: bool = False
) -> Any:
    """Open a graph as an `onnxruntime.InferenceSession` on exactly the configuration's providers.

    Raises
    ------
    RuntimeError
        With onnxruntime's reason, if it refuses the graph, or would run any node elsewhere.
    """
    try:
        session = open_session(
            data,
            threads,
            configuration.options,
            strict=configuration.device != "cpu",
            quiet=quiet,
        )
    except Exception as error:  # onnxruntime's exceptions share no base class of their own
        raise RuntimeError(_plain(error)) from error
    started = session.get_providers()
    if started[: len(configuration.options)] != configuration.providers:
        raise RuntimeError(f"onnxruntime started {', '.join(started)} instead")
    elsewhere = set(placed_nodes(session)) - set(configuration.options)
    if elsewhere:
        raise RuntimeError(f"onnxruntime gave nodes to {', '.join(sorted(elsewhere))} too")
    return session


def placed_nodes(session: Any) -> dict[str, list[str]]:
    """Ask a session which nodes, `<name> (<operator>)`, it gave to which execution provider."""
    placed: dict[str, list[str]] = {}
    for part in session.get_provider_graph_assignment_info():
        nodes = [f"{node.name} ({node.op_type})" for node in part.get_nodes()]
        placed.setdefault(part.ep_name, []).extend(nodes)
    return placed


def why_not_started(configuration: ProviderConfiguration) -> str | None:
    """Start the configuration on a graph of one node; return why it failed, or None."""
    missing = set(configuration.providers) - set(onnxruntime.get_available_providers())
    if missing:
        return f"this build of onnxruntime has no {', '.join(sorted(missing))}"
    with _silence():
        nvidia.preload()
        try:
            start(_one_node(), configuration, threads=1, quiet=True)
        except RuntimeError as error:
            return _library_error(configuration.providers[0]) or str(error)
    return None


def _library_error(provider: str) -> str | None:
    """Ask the dynamic linker why a provider's library did not load; onnxruntime only logs it.

    To be called only after onnxruntime has tried: a library that loads here loaded there, so its
    initialisers, which need onnxruntime's own host library, do not run a second time.
    """
    stem = provider.removesuffix("ExecutionProvider").lower()
    library = Path(onnxruntime.__file__).parent / "capi" / f"libonnxruntime_providers_{stem}.so"
    if not library.exists():
        return None
    try:
        ctypes.CDLL(str(library))
    except OSError as error:
        return str(error)
    return None


@contextmanager
def _silence() -> Iterator[None]:
    """Keep what onnxruntime prints about a failed start off the console: the caller reports it."""
    onnxruntime.set_default_logger_severity(SILENT)
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        onnxruntime.set_default_logger_severity(WARNINGS)


def _one_node() -> bytes:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, [1])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "probe", [x], [y])
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    return bytes(model.SerializeToString())


def _plain(error: Exception) -> str:
    """Strip `[ONNXRuntimeError] : 1 : FAIL : ` and everything after the first line."""
    text = str(error).strip() or type(error).__name__
    return re.sub(r"^\[ONNXRuntimeError\] : \d+ : \w+ : ", "", text).splitlines()[0]
