"""Where a network is trained: on the CPU, or on an NVIDIA GPU."""

import os
from contextlib import AbstractContextManager
from typing import Literal

import torch

from imaging.refusal import RefusedError

Device = Literal["auto", "cpu", "cuda"]
Arithmetic = Literal["auto", "float32", "bfloat16", "float16"]


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


def is_mixed(device: torch.device, arithmetic: Arithmetic) -> bool:
    """Return whether a network is trained in half precision: by itself on a GPU made for it.

    bfloat16 has float32's range, so that it needs no care; float16, and bfloat16 on a CPU, are used
    only where they are asked for.
    """
    if arithmetic == "auto":
        gpu = device.type == "cuda"
        return gpu and torch.cuda.is_bf16_supported(including_emulation=False)
    return arithmetic != "float32"


def autocast(device: torch.device, arithmetic: Arithmetic) -> torch.autocast:
    """Return the context in which a network is trained on ``device``."""
    half = torch.float16 if arithmetic == "float16" else torch.bfloat16
    return torch.autocast(device.type, half, enabled=is_mixed(device, arithmetic))


def loss_scaler(device: torch.device, arithmetic: Arithmetic) -> torch.amp.GradScaler:
    """Return what keeps small gradients from vanishing in float16; elsewhere it does nothing."""
    return torch.amp.GradScaler(device.type, enabled=arithmetic == "float16")


def be_deterministic() -> None:
    """Let this process add in the same order in every run, or refuse what cannot.

    To be called before anything is computed on a GPU: cuBLAS reads its variable once.
    """
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True)


def convolutions(*, search: bool = False) -> AbstractContextManager[None]:
    """Return the context in which a GPU convolves: in whole float32, as NVIDIA's default does not.

    With ``search``, it tries its algorithms and takes the fastest, unless it is to be
    deterministic.
    """
    asked = torch.are_deterministic_algorithms_enabled()
    return torch.backends.cudnn.flags(
        enabled=True, benchmark=search and not asked, deterministic=asked, allow_tf32=False
    )
