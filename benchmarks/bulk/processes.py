"""A command in a process of its own: how long it took, and how much memory it had."""

import os
import subprocess
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_EVERY: Final = 0.5
"""Seconds between two looks at the memory."""

_MEBIBYTE: Final = 2**20


@dataclass(frozen=True)
class Cost:
    """What a command took.

    Attributes
    ----------
    seconds, processor_seconds
        By the clock, and of all its processes that have ended.
    memory
        MiB at the most, of it and all processes below it: their proportional shares, so that what
        several of them map counts once.
    """

    seconds: float
    processor_seconds: float
    memory: float


def measure(words: Sequence[str], environment: dict[str, str]) -> Cost:
    """Run a command to its end.

    Raises
    ------
    RuntimeError
        If it fails.
    """
    before, began = os.times(), time.monotonic()
    with subprocess.Popen(
        words, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        ended, most = threading.Event(), [0.0]
        watching = threading.Thread(target=_watch, args=(process.pid, ended, most))
        watching.start()
        _, said = process.communicate()
        seconds = time.monotonic() - began
        ended.set()
        watching.join()
    if process.returncode not in (0, 1, 2):
        raise RuntimeError(f"{' '.join(words)} ended with {process.returncode}: {said[-300:]}")
    after = os.times()
    used = after.children_user + after.children_system
    return Cost(seconds, used - before.children_user - before.children_system, most[0])


def _watch(root: int, ended: threading.Event, most: list[float]) -> None:
    while not ended.wait(_EVERY):
        most[0] = max(most[0], sum(map(_share, _below(root))) / _MEBIBYTE)


def _below(root: int) -> set[int]:
    parents: dict[int, int] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdecimal():
            try:
                parents[int(entry.name)] = int(
                    (entry / "stat").read_text().rpartition(")")[2].split()[1]
                )
            except OSError:  # it has ended meanwhile
                continue
    found = {root}
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def _share(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))
