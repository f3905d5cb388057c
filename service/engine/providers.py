"""Which execution provider runs a graph, and a refusal wherever onnxruntime would fall back.

onnxruntime lists a provider as available when its build has it, not when it can start, and runs on
the CPU without an error when it cannot. Here every session names its providers, may use no other,
and is asked afterwards what it got.
"""

import ctypes
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass, field
from io import StringIO
from pathlib import Path
from typing import Any, Literal

import onnxruntime
from onnx import TensorProto, helper

Device = Literal["auto", "cpu", "cuda", "tensorrt"]

_SILENT, _ERRORS, _WARNINGS = 4, 3, 2


class DeviceUnavailableError(RuntimeError):
    """The device that was asked for does not start; the message gives onnxruntime's reason."""


@dataclass(frozen=True)
class Placement:
    """Where a session has to run: its execution providers in order of preference, and no other."""

    device: Literal["cpu", "cuda", "tensorrt"]
    options: dict[str, dict[str, str]] = field(hash=False)

    @property
    def providers(self) -> list[str]:
        """The providers' names in onnxruntime's vocabulary."""
        return list(self.options)


@dataclass(frozen=True)
class Selection:
    """The placements to try for a model, best first, and why a better one was passed over."""

    placements: tuple[Placement, ...]
    note: str | None = None


# TF32 rounds the factors of a float32 model to ten bits: its audit would see 1e-3 where float32
# gives 1e-6. cuDNN's default search would benchmark every new batch size while it is served.
_CUDA_OPTIONS = {"use_tf32": "0", "cudnn_conv_algo_search": "HEURISTIC"}

CPU = Placement("cpu", {"CPUExecutionProvider": {}})
CUDA = Placement("cuda", {"CUDAExecutionProvider": _CUDA_OPTIONS})
TENSORRT = Placement(
    "tensorrt", {"TensorrtExecutionProvider": {}, "CUDAExecutionProvider": _CUDA_OPTIONS}
)


def select(device: Device, why_not: Callable[[Placement], str | None] | None = None) -> Selection:
    """Turn the device that was asked for into the placements that may be tried.

    Parameters
    ----------
    device
        `auto` prefers CUDA where it truly starts; every other name is taken at its word.
    why_not
        Tells why a placement cannot start, None where it can; by default by starting it.

    Raises
    ------
    DeviceUnavailableError
        If `cuda` or `tensorrt` was asked for and does not start.
    """
    why_not = why_not or why_not_started
    if device == "cpu":
        return Selection((CPU,))
    if device == "auto":
        reason = why_not(CUDA)
        if reason is None:
            return Selection((CUDA, CPU))
        return Selection((CPU,), f"the CPU is used because CUDA does not start: {reason}")
    placement = CUDA if device == "cuda" else TENSORRT
    if (reason := why_not(placement)) is not None:
        raise DeviceUnavailableError(
            f"device={device} was asked for and {placement.providers[0]} does not start: {reason}"
        )
    return Selection((placement,))


def start(data: bytes, placement: Placement, threads: int, *, quiet: bool = False) -> Any:
    """Open a graph as an `onnxruntime.InferenceSession` on exactly the placement's providers.

    Raises
    ------
    RuntimeError
        With onnxruntime's reason, if it refuses the graph, or would run any node elsewhere.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = _SILENT if quiet else _ERRORS
    # Threads that spin between requests take the cores from decoding and from other sessions.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if placement.device != "cpu":
        options.add_session_config_entry("session.disable_cpu_ep_fallback", "1")
    providers = list(placement.options.items())
    try:
        session = onnxruntime.InferenceSession(data, options, providers, enable_fallback=0)
    except Exception as error:  # onnxruntime's exceptions share no base class of their own
        raise RuntimeError(_plain(error)) from error
    session.disable_fallback()
    started = session.get_providers()
    if started[: len(placement.options)] != placement.providers:
        raise RuntimeError(f"onnxruntime started {', '.join(started)} instead")
    return session


def why_not_started(placement: Placement) -> str | None:
    """Start the placement on a graph of one node; return why it failed, or None."""
    missing = set(placement.providers) - set(onnxruntime.get_available_providers())
    if missing:
        return f"this build of onnxruntime has no {', '.join(sorted(missing))}"
    with _silence():
        # The libraries of NVIDIA's wheels are on no search path until they have been loaded once.
        onnxruntime.preload_dlls()
        try:
            start(_one_node(), placement, threads=1, quiet=True)
        except RuntimeError as error:
            return _library_error(placement.providers[0]) or str(error)
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
    onnxruntime.set_default_logger_severity(_SILENT)
    try:
        with redirect_stdout(StringIO()):
            yield
    finally:
        onnxruntime.set_default_logger_severity(_WARNINGS)


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
