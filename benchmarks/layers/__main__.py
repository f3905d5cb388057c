"""`python -m benchmarks.layers`: what each layer of the service takes of a request of one image.

Each layer is a server of its own and does all that the one before it does. Processor time is read
from Linux's counters of each thread. It leaves out what others do meanwhile, but not that a core is
slower, and its caches colder, while they do it.
"""

import argparse
import os
import statistics
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.machine import describe_machine
from benchmarks.serving import h2load, launchers, wrk
from benchmarks.serving.formats import oip_binary, oip_grpc, png
from benchmarks.serving.model import ModelUnderTest, open_model_under_test
from benchmarks.serving.server import Launch, Server, call, free_port, running
from benchmarks.serving.wrk import Load

CONNECTIONS = 32
MODEL = Path("model_repository/rotmnist-c4-int8/1/model.onnx")


@dataclass(frozen=True)
class Layer:
    """A server, given its ports, and the request that it is asked again and again."""

    name: str
    launch: Callable[[ModelUnderTest, int, int], Launch]
    request: Callable[[ModelUnderTest], list[bytes]]
    grpc: bool = False


@dataclass(frozen=True)
class Figure:
    """Of one load: answers a second, and microseconds of processor time an answer by thread."""

    rate: float
    loop: float
    others: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Print a line a layer: medians over rounds in which the layers take turns."""
    parser = argparse.ArgumentParser(prog="benchmarks.layers", description=__doc__)
    parser.add_argument("--model", type=Path, default=MODEL, help="a model.onnx in a repository")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seconds", type=int, default=2, help="of each load")
    options = parser.parse_args(arguments)
    if not wrk.available():
        sys.exit("benchmarks.layers: wrk is not installed; Debian's package of that name is.")
    under_test = open_model_under_test(options.model, None)
    rounds: list[list[Figure]] = []
    for number in range(options.rounds):
        print(f"round {number + 1} of {options.rounds}", file=sys.stderr)
        rounds.append([_measure(layer, under_test, options.seconds) for layer in LAYERS])
    print(f"{describe_machine()}; {under_test.card.name}, {CONNECTIONS} connections.")
    print(f"Medians of {options.rounds} rounds of {options.seconds} s.\n")
    print("\n".join(table([list(column) for column in zip(*rounds, strict=True)])))


def table(columns: Sequence[Sequence[Figure]]) -> Iterator[str]:
    """Lay the figures of each layer, over all rounds, in a row each."""
    yield "| a server of | requests/s | microseconds of the event loop | of other threads |"
    yield "| --- | --- | --- | --- |"
    for layer, figures in zip(LAYERS, columns, strict=True):
        rate = statistics.median(figure.rate for figure in figures)
        loop = statistics.median(figure.loop for figure in figures)
        others = statistics.median(figure.others for figure in figures)
        yield f"| {layer.name} | {rate:,.0f} | {loop:.0f} | {others:.0f} |"


def _measure(layer: Layer, under_test: ModelUnderTest, seconds: int) -> Figure:
    port = free_port()
    with running(layer.launch(under_test, port, free_port()), port) as server:
        _load(layer, under_test, server, 1)
        before = ticks(server.process)
        load = _load(layer, under_test, server, seconds)
        after = ticks(server.process)
    spent = {thread: after[thread] - before.get(thread, 0) for thread in after}
    unit = 1e6 / os.sysconf("SC_CLK_TCK") / load.requests
    loop = spent.pop(server.process)
    return Figure(load.rate, unit * loop, unit * sum(spent.values()))


def _load(layer: Layer, under_test: ModelUnderTest, server: Server, seconds: int) -> Load:
    requests = layer.request(under_test)
    if not layer.grpc:
        return wrk.drive(server.port, requests, connections=CONNECTIONS, seconds=seconds)
    path, port = oip_grpc(under_test.card.name).grpc, server.grpc_port
    if path is None or port is None:
        raise ValueError("A layer of gRPC has a port and a method of it.")
    size = len(call(port, path, requests[0]).body)
    return h2load.drive(port, path, requests[0], size, connections=CONNECTIONS, seconds=seconds)


def ticks(process: int) -> dict[int, int]:
    """Return the processor time of each thread, in clock ticks; the event loop is the first."""
    found = {}
    for task in Path(f"/proc/{process}/task").iterdir():
        fields = (task / "stat").read_text().rpartition(")")[2].split()
        found[int(task.name)] = int(fields[11]) + int(fields[12])
    return found


def _part(layer: str) -> Callable[[ModelUnderTest, int, int], Launch]:
    def launch(under_test: ModelUnderTest, port: int, grpc_port: int) -> Launch:
        module = [sys.executable, "-m", "benchmarks.layers.app", layer]
        told = [under_test.file, under_test.threads, port, grpc_port]
        command = [*module, *map(str, told)]
        return Launch(command, os.environ, "/", launchers.ROOT, grpc_port)

    return launch


def _service(under_test: ModelUnderTest, port: int, grpc_port: int) -> Launch:
    return launchers.orbitserve(launchers.Setting(under_test, Path(), port, grpc_port))


def _oip(under_test: ModelUnderTest) -> list[bytes]:
    sent = oip_binary(under_test.card.name)
    return [sent.encode(image[None]) for image in under_test.images]


def _grpc(under_test: ModelUnderTest) -> list[bytes]:
    return [oip_grpc(under_test.card.name).encode(under_test.images[:1])]


def _png(under_test: ModelUnderTest) -> list[bytes]:
    sent = png("/classify")
    return [sent.encode(image[None]) for image in under_test.images]


LAYERS = (
    Layer("uvicorn, with an answer that is always the same", _part("http"), _oip),
    Layer("and the protocol: a request is read", _part("protocol"), _oip),
    Layer("and the engine: an image is classified, an answer written", _part("engine"), _oip),
    Layer("the service: ids, limits, keys, counters, timings, errors", _service, _oip),
    Layer("the service, asked with PNG files", _service, _png),
    Layer("gRPC, with an answer that is always the same", _part("grpc"), _grpc, grpc=True),
    Layer("and the message is read by its method", _part("grpc-stream"), _grpc, grpc=True),
    Layer("the service, asked over gRPC", _service, _grpc, grpc=True),
)

if __name__ == "__main__":
    main()
