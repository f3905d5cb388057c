"""What a figure was measured on, in one line."""

import platform

import onnxruntime

from artifact.cpus import cpu_budget
from audit.machine import cpu_name


def describe_machine() -> str:
    """Return CPU, usable cores, Python and onnxruntime."""
    return (
        f"{cpu_name()}, {cpu_budget()} cores, Python {platform.python_version()}, "
        f"onnxruntime {onnxruntime.__version__}"
    )
