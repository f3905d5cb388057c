"""The same application under Ray Serve and under `orbitserve serve`, asked in turn by wrk.

Run ``python -m benchmarks.bulk.serving`` in an environment that has the extra `ray-serve`.
"""

import os
import socket
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final
from urllib.request import urlopen

from benchmarks.machine import describe_machine
from benchmarks.serving.wrk import Load, available, drive

SERVERS: Final = {
    "orbitserve serve": ("-m", "orbitserve", "serve"),
    "Ray Serve": ("-m", "deploy.ray_serve"),
}
ROUNDS: Final = 5
SECONDS: Final = 3.0
_PATIENCE: Final = 240.0


def main() -> None:
    """Print a table."""
    if not available():
        raise SystemExit("wrk is not installed.")
    image = Path("examples/seven.png").read_bytes()
    head = (
        "POST /models/rotmnist-c4-int8/classify HTTP/1.1\r\nHost: localhost\r\n"
        f"Content-Type: image/png\r\nContent-Length: {len(image)}\r\n\r\n"
    )
    request = head.encode() + image
    loads: dict[tuple[int, str], list[Load]] = {}
    with ExitStack() as stack:
        ports = {name: stack.enter_context(_server(words)) for name, words in SERVERS.items()}
        for connections in (1, 16):
            for _ in range(ROUNDS):
                for name, port in ports.items():
                    load = drive(port, [request], connections=connections, seconds=SECONDS)
                    loads.setdefault((connections, name), []).append(load)
    print(f"{describe_machine()}; {ROUNDS} rounds of {SECONDS:g} s, medians")
    print("| connections | server | requests/s | p50, ms | p99, ms | of the first's requests/s |")
    print("| --- | --- | --- | --- | --- | --- |")
    for (connections, name), found in loads.items():
        first = loads[connections, next(iter(SERVERS))]
        ratio = statistics.median(b.rate / a.rate for a, b in zip(first, found, strict=True))
        rate, p50, p99 = (
            statistics.median(values)
            for values in zip(*((x.rate, 1e3 * x.p50, 1e3 * x.p99) for x in found), strict=True)
        )
        print(f"| {connections} | {name} | {rate:,.0f} | {p50:.2f} | {p99:.2f} | {ratio:.2f} |")


@contextmanager
def _server(words: tuple[str, ...]) -> Iterator[int]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    environment = {**os.environ, "ORBITSERVE_PORT": str(port)}
    with subprocess.Popen(
        [sys.executable, *words],
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    ) as server:
        try:
            _wait(port)
            yield port
        finally:
            server.terminate()


def _wait(port: int) -> None:
    end = time.monotonic() + _PATIENCE
    while time.monotonic() < end:
        try:
            with urlopen(f"http://127.0.0.1:{port}/readyz", timeout=5):
                return
        except OSError:
            time.sleep(0.2)
    raise SystemExit(f"Nothing is ready at port {port}.")


if __name__ == "__main__":
    main()
