"""What a figure was measured on, in one line."""

import platform

import onnxruntime

from export.runtime import cpu_name, cpus


def describe_machine() -> str:
    """Return CPU, usable cores, Python and onnxruntime."""
    return (
        f"{cpu_name()}, {cpus()} cores, Python {platform.python_version()}, "
        f"onnxruntime {onnxruntime.__version__}"
    )
