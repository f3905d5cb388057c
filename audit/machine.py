"""What this machine says of its processor."""

import platform
from pathlib import Path


def cpu_name() -> str | None:
    """Return the name of the processor; None where the system does not tell."""
    return _cpu_info("model name") or platform.processor() or platform.machine() or None


def cpu_flags() -> frozenset[str]:
    """Return the names of the processor's extensions, where Linux lists them."""
    return frozenset(_cpu_info("flags").split())


def _cpu_info(field: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    values = (line.partition(":")[2].strip() for line in lines if line.startswith(field))
    return next(values, "")
