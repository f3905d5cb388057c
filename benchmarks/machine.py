"""What a figure was measured on, in one line."""

import platform

import onnxruntime

from audit.machine import cpu_name
from export.runtime import cpus


def describe_machine() -> str:
    """Return CPU, usable cores, Python and onnxruntime."""
    return (
        f"{cpu_name()}, {cpus()} cores, Python {platform.python_version()}, "
        f"onnxruntime {onnxruntime.__version__}"
    )
