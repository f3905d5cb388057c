"""What a figure was measured on, in one line."""

import os
import platform
from pathlib import Path

import onnxruntime


def describe_machine() -> str:
    """Return CPU, usable cores, Python and onnxruntime."""
    cores = len(os.sched_getaffinity(0))
    return (
        f"{_cpu()}, {cores} cores, Python {platform.python_version()}, "
        f"onnxruntime {onnxruntime.__version__}"
    )


def _cpu() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(": ")[2]
    return platform.machine()
