"""The processor that figures were measured on."""

import platform
from pathlib import Path
from typing import Final

_IDENTITY: Final = frozenset(
    {
        *("vendor_id", "cpu family", "model", "model name", "stepping", "microcode", "cache size"),
        *("flags", "bugs", "Features", "CPU implementer", "CPU architecture", "CPU variant"),
        *("CPU part", "CPU revision"),
    }
)
"""Fields that are the same whenever one looks, of x86 and of Arm."""


def cpu_name() -> str:
    """Return the name of this machine's processor."""
    return _cpu_info("model name") or platform.processor() or platform.machine()


def cpu_flags() -> frozenset[str]:
    """Return what the processor can do, in Linux's words; nothing where that is not told."""
    return frozenset(_cpu_info("flags").split())


def cpu_identity() -> dict[str, list[str]]:
    """Return what tells a kind of processor and what it can do, by Linux's names of the fields.

    Figures of two processors that are equal in it may be taken for one another. Where Linux's list
    is missing it is the system's name of the processor alone.
    """
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return {"processor": [platform.processor()]}
    found: dict[str, set[str]] = {}
    for line in lines:
        field, _, value = line.partition(":")
        if field.strip() in _IDENTITY:
            found.setdefault(field.strip(), set()).add(value.strip())
    return {field: sorted(values) for field, values in sorted(found.items())}


def _cpu_info(field: str) -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return ""
    values = (line.partition(":")[2].strip() for line in lines if line.startswith(field))
    return next(values, "")
