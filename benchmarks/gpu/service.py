"""How many images a second the service answers, by connections, format and use of the device.

Run ``python -m benchmarks.gpu.service --device cuda``. Server and load share the machine. Before it
is timed, the labels of 32 digits must be those of the bare session on the CPU.
"""

import argparse
import os
import shutil
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from artifact.cpus import cpu_budget
from benchmarks.gpu.configurations import DEVICES, why_not_tensorrt
from benchmarks.gpu.load import Loader, loader
from benchmarks.serving.formats import Format, oip_binary, png
from benchmarks.serving.launchers import ROOT
from benchmarks.serving.model import ModelUnderTest, open_model_under_test
from benchmarks.serving.rounds import LARGE, WrongAnswerError, check
from benchmarks.serving.server import Launch, ServerError, free_port, running
from benchmarks.serving.wrk import LoadError

CONNECTIONS = (1, 8, 32, 128)
FAILED = "failed"
WAYS: dict[str, dict[str, Mapping[str, str]]] = {
    "cpu": {"CPU": {}},
    "cuda": {
        "CUDA": {},
        "CUDA, graphs": {"gpu_graphs": "true"},
        "CUDA, TF32, graphs": {"gpu_graphs": "true", "gpu_tf32": "true"},
        "TensorRT": {"device": "tensorrt"},
        "TensorRT fp16": {"device": "tensorrt", "tensorrt_fp16": "true"},
    },
}
"""Settings of the service, by name, that a device is used with."""


def main() -> None:
    """Print a Markdown table, a line as soon as it is measured; status 1 if a server failed."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=["rotmnist-c4"])
    parser.add_argument("--device", choices=DEVICES, default="cuda")
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--seconds", type=float, default=1.0, help="for a figure")
    parser.add_argument("--connections", type=int, nargs="+", default=CONNECTIONS)
    options = parser.parse_args()
    failed = False
    processes = max(1, min(4, cpu_budget() // 2))
    print(f"Images a second, and in brackets p50 and p99 in ms; {processes} loading processes:\n")
    print("| model | runs as | ready after s | format |", end="")
    print("".join(f" {number} connections |" for number in options.connections))
    print("| --- " * (4 + len(options.connections)) + "|", flush=True)
    with loader(processes) as load, TemporaryDirectory() as folder:
        for name in options.models:
            # Of its own, so that the time until it is ready is this model's alone.
            repository = Path(folder, name)
            shutil.copytree(options.repository / name, repository / name)
            under_test = open_model_under_test(next(repository.glob("*/*/model.onnx")), None)
            for way, settings in WAYS[options.device].items():
                if settings.get("device") == "tensorrt" and (reason := why_not_tensorrt()):
                    print(f"| {name} | {way} | not there: {reason} |", flush=True)
                    continue
                launched = launch(under_test, options.device, settings)
                for row in rows(under_test, launched, load, options.connections, options.seconds):
                    print(f"| {name} | {way} | {' | '.join(row)} |", flush=True)
                    failed = failed or any(cell.startswith(FAILED) for cell in row)
    if failed:
        sys.exit(1)


def launch(
    under_test: ModelUnderTest, device: str, settings: Mapping[str, str]
) -> tuple[Launch, int]:
    """Say how the service is started with such settings, and on which port."""
    port = free_port()
    options = {
        "port": str(port),
        "device": device,
        "repository": str(under_test.repository),
        "default_model": under_test.card.name,
        "log_level": "warning",
        **settings,
    }
    environment = {f"ORBITSERVE_{name.upper()}": value for name, value in options.items()}
    command = [sys.executable, "-m", "orbitserve", "serve"]
    return Launch(command, os.environ | environment, "/readyz", ROOT), port


def rows(
    under_test: ModelUnderTest,
    launched: tuple[Launch, int],
    load: Loader,
    connections: Sequence[int],
    seconds: float,
) -> Iterator[list[str]]:
    """Start a server and yield a row for each format, or one with the reason of a failure."""
    try:
        with running(*launched) as server:
            for sent, size in formats(under_test.card.name):
                head = [f"{server.ready_seconds:.1f}", f"{sent.name} x {size}"]
                requests = check(sent, server.port, under_test, size)
                yield head + [
                    figure(load, server.port, requests, size, number, seconds)
                    for number in connections
                ]
    except (ServerError, WrongAnswerError) as error:
        yield [f"{FAILED}: {error}", ""]


def formats(model: str) -> list[tuple[Format, int]]:
    """List formats of a request, and how many images each carries."""
    return [(oip_binary(model), 1), (png("/classify"), 1), (oip_binary(model), LARGE)]


def figure(
    load: Loader, port: int, requests: list[bytes], size: int, connections: int, seconds: float
) -> str:
    """Warm a server with a load, and time it."""
    try:
        for duration in (seconds / 4, seconds):
            timed = load.drive(port, requests, connections=connections, seconds=duration)
    except LoadError as error:
        return f"{FAILED}: {error}"
    return f"{timed.rate * size:,.0f} ({1000 * timed.p50:.1f}, {1000 * timed.p99:.1f})"


if __name__ == "__main__":
    main()
