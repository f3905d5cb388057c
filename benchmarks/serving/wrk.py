"""The load generator: Debian's wrk on one thread, given whole requests to send in turn."""

import json
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

SCRIPT = Path(__file__).with_name("wrk.lua")
ERRORS = ("connect", "read", "write", "timeout", "status")


class LoadError(RuntimeError):
    """The load was not answered as it should be; the message is one sentence."""


@dataclass(frozen=True, eq=False)
class Load:
    """What a load generator counted: answers, the seconds they took, and latencies in seconds.

    wrk adds to its latencies those of requests that a late answer kept from being sent.
    """

    requests: int
    seconds: float
    latencies: NDArray[np.float64]

    @property
    def rate(self) -> float:
        """Answers a second."""
        return self.requests / self.seconds

    @property
    def p50(self) -> float:
        """The median of the latencies."""
        return float(np.quantile(self.latencies, 0.5))

    @property
    def p99(self) -> float:
        """What one in a hundred of the latencies exceeds."""
        return float(np.quantile(self.latencies, 0.99))


def available() -> bool:
    """Say whether wrk is installed."""
    return shutil.which("wrk") is not None


def drive(port: int, requests: Sequence[bytes], *, connections: int, seconds: float) -> Load:
    """Send ``requests`` over ``connections`` to a server on this machine, for ``seconds``.

    Raises
    ------
    LoadError
        If any request failed, or was answered with a status of 400 or more.
    """
    with tempfile.TemporaryDirectory() as folder:
        files = [Path(folder, str(i)) for i in range(len(requests))]
        for file, request in zip(files, requests, strict=True):
            file.write_bytes(request)
        # wrk takes whole seconds; it refuses a duration of 0.
        command = ["wrk", "-t1", f"-c{connections}", f"-d{max(1, round(seconds))}s"]
        command += ["--timeout", "10s", "-s", str(SCRIPT), f"http://127.0.0.1:{port}", "--"]
        done = subprocess.run(
            [*command, *map(str, files)], capture_output=True, text=True, check=False
        )
    if done.returncode:
        raise LoadError(f"wrk ended with status {done.returncode}: {done.stderr.strip()}")
    return parse(done.stdout)


def parse(output: str) -> Load:
    """Read the line of JSON that the script adds to wrk's output.

    Raises
    ------
    LoadError
        If there is no such line, nothing was answered, or there were errors.
    """
    line = next((line for line in output.splitlines() if line.startswith("{")), None)
    if line is None:
        raise LoadError(f"wrk printed no figures: {output.strip()!r}")
    counted = json.loads(line)
    if found := [f"{counted[kind]} {kind}" for kind in ERRORS if counted[kind]]:
        raise LoadError(f"{counted['requests']} requests, with errors: {', '.join(found)}")
    if not counted["requests"]:
        raise LoadError("no request was answered within the time")
    microseconds, times = np.array(counted["latencies"]).T
    return Load(
        counted["requests"], counted["microseconds"] / 1e6, np.repeat(microseconds / 1e6, times)
    )
