"""The processor that figures were measured on."""

import platform
from pathlib import Path


def cpu_name() -> str:
    """Return the name of this machine's processor."""
    return _cpu_info("model name") or platform.processor() or platform.machine()


def cpu_flags() -> frozenset[str]:
    """Return what the processor can do, in Linux's words; nothing where that is not told."""
    return frozenset(_cpu_info("flags").split())


def _cpu_info(field: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    values = (line.partition(":")[2].strip() for line in lines if line.startswith(field))
    return next(values, "")
