"""Where a network is trained: on the CPU, or on an NVIDIA GPU."""

from typing import Literal

import torch

from imaging.refusal import RefusedError

Device = Literal["auto", "cpu", "cuda"]
Arithmetic = Literal["auto", "float32", "bfloat16"]


def find_device(device: Device) -> torch.device:
    """Return the device of this name; "auto" is a GPU where PyTorch sees one.

    Raises
    ------
    ValueError
        If "cuda" is asked for and there is none.
    """
    there = torch.cuda.is_available()
    if device == "cuda" and not there:
        raise RefusedError(
            "PyTorch sees no NVIDIA GPU here; --device cpu trains without one, and a GPU needs "
            "its driver and PyTorch's build for CUDA."
        )
    return torch.device("cuda" if there and device != "cpu" else "cpu")


def autocast(device: torch.device, arithmetic: Arithmetic) -> torch.autocast:
    """Return the context in which a network is trained on ``device``.

    "auto" is bfloat16 where the device multiplies it in hardware, else float32.
    """
    if device.type == "cuda":
        in_hardware = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        in_hardware = bool(torch.cpu.get_capabilities().get("avx512_bf16", False))
    enabled = arithmetic == "bfloat16" or (arithmetic == "auto" and in_hardware)
    return torch.autocast(device.type, torch.bfloat16, enabled=enabled)
