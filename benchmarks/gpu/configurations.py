"""In which ways a device runs a graph, and why it does not run it in others."""

from dataclasses import replace
from typing import Literal

from service.engine import GpuOptions, select
from service.engine.providers import (
    CPU,
    ProviderConfiguration,
    on_cuda,
    on_tensorrt,
    why_not_started,
)

Device = Literal["cpu", "cuda"]
DEVICES: tuple[Device, ...] = ("cpu", "cuda")

_CUDA = {
    "CUDA": GpuOptions(),
    "CUDA, graphs": GpuOptions(graphs=True),
    "CUDA, TF32": GpuOptions(tf32=True),
    "CUDA, TF32, graphs": GpuOptions(tf32=True, graphs=True),
}
_TENSORRT = {
    "TensorRT": GpuOptions(),
    "TensorRT fp16": GpuOptions(tensorrt_fp16=True),
}


def configurations(device: Device) -> dict[str, ProviderConfiguration]:
    """Return configurations by name; the CPU's second one pads batches in fixed buffers as a GPU's.

    Raises
    ------
    DeviceUnavailableError
        If the device does not start.
    """
    select(device)
    if device == "cpu":
        return {"CPU": CPU, "CPU, fixed buffers": replace(CPU, memory=("cpu", 0))}
    found = {name: on_cuda(gpu) for name, gpu in _CUDA.items()}
    if why_not_tensorrt() is None:
        found |= {name: on_tensorrt(gpu) for name, gpu in _TENSORRT.items()}
    return found


def why_not_tensorrt() -> str | None:
    """Return why TensorRT does not start, or None."""
    return why_not_started(on_tensorrt(GpuOptions()))


def shared_with_cpu(configuration: ProviderConfiguration) -> ProviderConfiguration:
    """Let the CPU take the nodes that a device does not; batches come as they are, unpadded.

    Named a CPU's, a configuration is not held to running every node on its first provider.
    """
    return ProviderConfiguration("cpu", configuration.options | CPU.options)
