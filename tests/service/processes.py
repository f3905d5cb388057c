"""The service as a process of its own, for tests that talk to it over a socket."""

import io
import os
import re
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np

from tests.program import PROGRAM, Process, start
from tests.waiting import LIMIT

STARTED = "repository loaded"
"""What the service logs when all that was there at its start is loaded or refused."""


def environment(repository: Path, **options: object) -> dict[str, str]:
    options = {"repository": repository, "device": "cpu", "port": 0, "log_format": "json"} | options
    return os.environ | {f"ORBITSERVE_{name.upper()}": str(v) for name, v in options.items()}


@dataclass(frozen=True)
class Server:
    process: Process | subprocess.Popen[str]
    url: str
    log: list[str]
    """The lines that it has logged; one that nobody reads would wait for a reader."""
    reader: threading.Thread

    def end(self, timeout: float = LIMIT) -> int:
        """Wait for it to end, and for the last line of its log; return its status."""
        status = self.process.wait(timeout)
        self.reader.join(timeout)
        assert not self.reader.is_alive(), "something that it started outlives it"
        return status


@contextmanager
def serving(
    repository: Path, *, loaded: bool = True, forked: bool = True, **options: object
) -> Iterator[Server]:
    """Start a service.

    Parameters
    ----------
    loaded
        Wait until everything there is loaded or refused, by every worker.
    forked
        From a process that has everything imported; else one that begins as a user's does.
    """
    process: Process | subprocess.Popen[str]
    told = environment(repository, **options)
    if forked:
        process = start(["serve"], told)
    else:
        command = [*PROGRAM, "serve"]
        process = subprocess.Popen(command, env=told, stderr=subprocess.PIPE, text=True)
    assert process.stderr
    stderr = process.stderr
    log: list[str] = []
    reader = threading.Thread(target=lambda: log.extend(stderr))
    try:
        url, loading = "", int(told.get("ORBITSERVE_WORKERS", "1"))
        for line in stderr:
            log.append(line)
            if found := re.search(r"running on (http://[][\d.:]+)", line):
                url = found[1]
            loading -= STARTED in line
            if url and (loading <= 0 or not loaded):
                reader.start()
                yield Server(process, url, log, reader)
                return
        raise AssertionError(f"the service did not start: {log}")
    finally:
        process.kill()
        process.wait()
        if reader.ident:
            reader.join()
        if isinstance(process, Process):
            process.end()
        else:
            stderr.close()


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


GREY = npy(np.zeros((8, 8), np.uint8))
NPY = {"Content-Type": "application/x-npy"}


def assert_serves(url: str) -> None:
    # What is not verified needs no file of certificates, whose reading takes longer than the call.
    answer = httpx.post(f"{url}/classify", content=GREY, headers=NPY, verify=False)
    assert answer.status_code == 200, answer.text
    assert answer.json()["model"]["name"] == "turning"
