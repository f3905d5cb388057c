"""How many threads this process may really use: its affinity mask and its cgroup's CPU quota."""

import os
from pathlib import Path

_CGROUP_ROOT = Path("/sys/fs/cgroup")
_OWN_CGROUP = Path("/proc/self/cgroup")


def cpu_budget(root: Path = _CGROUP_ROOT, own_cgroup: Path = _OWN_CGROUP) -> int:
    """Count the CPUs that this process may keep busy; at least 1.

    onnxruntime counts the host's cores, which in a container with a quota means threads that are
    throttled in the middle of a batch. A fraction of a CPU is left unused for the same reason.
    """
    quota = cgroup_quota(root, own_cgroup)
    cpus = _affinity()
    return cpus if quota is None else max(1, min(cpus, int(quota)))


def cgroup_quota(root: Path, own_cgroup: Path) -> float | None:
    """Return the tightest `cpu.max`, in CPUs, from the process's cgroup (version 2) upwards."""
    try:
        lines = own_cgroup.read_text().splitlines()
    except OSError:
        return None
    path = next((line.removeprefix("0::/") for line in lines if line.startswith("0::")), "")
    folder = root / path
    quotas = [quota_of(parent / "cpu.max") for parent in (folder, *folder.parents)]
    return min((quota for quota in quotas if quota is not None), default=None)


def quota_of(file: Path) -> float | None:
    """Read one `cpu.max` file, `<quota or "max"> <period>` in microseconds, as a number of CPUs."""
    try:
        quota, period = file.read_text().split()
    except (OSError, ValueError):
        return None
    return None if quota == "max" else int(quota) / int(period)


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
