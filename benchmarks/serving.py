"""Images a second: the bare session against the service over HTTP, in one run on one machine.

Run ``python -m benchmarks.serving``. Every figure is the median of several rounds, and the rounds
of all rows take turns, so that a machine whose speed drifts drifts for all of them alike.
"""

import argparse
import io
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from audit import load_audit_set
from benchmarks.load import drive, post
from benchmarks.machine import describe_machine
from service.engine.providers import CPU, start
from service.folder import AUDIT_FILE
from service.offline import open_model
from service.settings import Settings
from service.version import ServedModel


class Row(NamedTuple):
    """What is measured: a name and a function from seconds to images a second and p50 seconds."""

    name: str
    measure: Callable[[float], tuple[float, float]]


def main() -> None:
    """Measure, then print a Markdown table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="rotmnist-c4")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--seconds", type=float, default=2.0, help="of each row in each round")
    options = parser.parse_args()

    settings = Settings(device="cpu")
    model = open_model(options.model, settings)
    images = load_audit_set(model.folder / AUDIT_FILE).images
    with _service(options.model) as port:
        rows = [*_session_rows(model, images), *_http_rows(port, images)]
        rounds: dict[str, list[tuple[float, float]]] = {row.name: [] for row in rows}
        for number in range(1 + options.rounds):
            for row in rows:
                print(f"round {number}: {row.name}", file=sys.stderr)
                measured = row.measure(options.seconds)
                if number:  # the first round warms everything
                    rounds[row.name].append(measured)
    _print_table(model, rounds)


def _session_rows(model: ServedModel, images: np.ndarray) -> Iterator[Row]:
    session = start(model.read_graph(), CPU, model.session.threads)
    for size in (1, 8, 32):
        batch = images[:size]

        def measure(seconds: float, batch: np.ndarray = batch) -> tuple[float, float]:
            latencies: list[float] = []
            deadline = time.perf_counter() + seconds
            while (now := time.perf_counter()) < deadline:
                session.run(None, {"image": batch})
                latencies.append(time.perf_counter() - now)
            return len(latencies) * len(batch) / sum(latencies), statistics.median(latencies)

        yield Row(f"bare session, batch of {size}", measure)


def _http_rows(port: int, images: np.ndarray) -> Iterator[Row]:
    request = post("/classify", "image/png", _png(images[0]))
    for clients in (1, 32):

        def measure(seconds: float, clients: int = clients) -> tuple[float, float]:
            load = drive(port, request, connections=clients, seconds=seconds)
            return load.rate, load.percentile(0.5)

        plural = "s" if clients > 1 else ""
        yield Row(f"HTTP, one PNG a request, {clients} client{plural}", measure)


def _png(image: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image[0]).save(file, "PNG")
    return file.getvalue()


@contextmanager
def _service(model: str) -> Iterator[int]:
    """Start the service as a process of its own, logging to a file, and yield its port."""
    command = [sys.executable, "-m", "orbitserve", "serve", "--port", "0", "--device", "cpu"]
    with tempfile.NamedTemporaryFile() as log:
        process = subprocess.Popen(
            [*command, "--default-model", model],
            stdout=log,
            stderr=log,
            cwd=Path(__file__).parents[1],
        )
        try:
            yield _port(process, Path(log.name))
        finally:
            process.terminate()
            process.wait(timeout=30)


def _port(process: subprocess.Popen[bytes], log: Path) -> int:
    """Wait for the log to name the port of a service that takes a free one."""
    deadline = time.monotonic() + 30
    while process.poll() is None and time.monotonic() < deadline:
        if found := re.search(r"http://[\d.]+:(\d+)", log.read_text()):
            return int(found[1])
        time.sleep(0.1)
    raise RuntimeError(f"The service did not start: {log.read_text()}")


def _print_table(model: ServedModel, rounds: dict[str, list[tuple[float, float]]]) -> None:
    card = model.card
    print(f"{describe_machine()}; {card.name} version {card.version}, {card.precision}\n")
    print("| | images/s | p50 ms | of the bare session at batch 1 |")
    print("| --- | --- | --- | --- |")
    base = statistics.median(rate for rate, _ in next(iter(rounds.values())))
    for name, measured in rounds.items():
        rate = statistics.median(rate for rate, _ in measured)
        latency = statistics.median(latency for _, latency in measured)
        print(f"| {name} | {rate:,.0f} | {1000 * latency:.2f} | {rate / base:.2f} |")


if __name__ == "__main__":
    main()
