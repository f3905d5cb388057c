"""The load generator for gRPC: nghttp2's h2load on one thread, given one call to make again."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from benchmarks.serving.wrk import Load, LoadError

_COUNTED: Final = re.compile(r"requests: .* (\d+) done, (\d+) succeeded, (\d+) failed")
_DATA: Final = re.compile(r"traffic: .* \((\d+)\) data")


def drive(
    port: int, path: str, call: bytes, answer: int, *, connections: int, seconds: float
) -> Load:
    """Make a call over ``connections`` to a gRPC server on this machine, for ``seconds``.

    Parameters
    ----------
    call
        The body: a message behind its length.
    answer
        Bytes that the body of a right answer has. gRPC refuses with status 200 and no body, so
        that without them a refusal would count.

    Raises
    ------
    LoadError
        If any call failed or was refused, or h2load is not installed.
    """
    if shutil.which("h2load") is None:
        raise LoadError("h2load is not installed; it is in Debian's package nghttp2-client")
    with tempfile.TemporaryDirectory() as folder:
        body, log = Path(folder, "body"), Path(folder, "log")
        body.write_bytes(call)
        command = ["h2load", "-t1", f"-c{connections}", "-m1", f"-D{max(1, round(seconds))}"]
        command += ["-H", "content-type: application/grpc", "-H", "te: trailers", "-d", str(body)]
        command += [f"--log-file={log}", f"http://127.0.0.1:{port}{path}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode:
            raise LoadError(f"h2load ended with status {done.returncode}: {done.stderr.strip()}")
        return parse(done.stdout, log.read_text().splitlines(), answer)


def parse(output: str, log: Sequence[str], answer: int) -> Load:
    """Read h2load's summary and its log: of each call its start, status and duration, in µs.

    Raises
    ------
    LoadError
        If nothing was answered, or something in another way than it should be.
    """
    counted, traffic = _COUNTED.search(output), _DATA.search(output)
    if counted is None or traffic is None:
        raise LoadError(f"h2load printed no figures: {output.strip()!r}")
    requests, good, failed = map(int, counted.groups())
    if failed or good != requests or int(traffic[1]) < requests * answer:
        raise LoadError(f"{requests} calls, {failed} of which failed, or were refused")
    rows = np.array([line.split("\t")[:3] for line in log], np.int64).reshape(-1, 3)
    if not len(rows):
        raise LoadError("no request was answered")
    begun, ended = rows[:, 0].min(), (rows[:, 0] + rows[:, 2]).max()
    return Load(len(rows), (ended - begun) / 1e6, rows[:, 2] / 1e6)
