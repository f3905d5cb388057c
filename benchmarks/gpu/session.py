"""How many images a second a session computes, by batch size and by how the device is used.

Run ``python -m benchmarks.gpu.session --device cuda``. A batch lies in memory, is copied to the
device, computed, and its logits and probabilities are copied back, as for a request.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from artifact.contract import Images
from artifact.cpus import cpu_budget
from benchmarks.gpu.candidates import Candidate, candidates
from benchmarks.gpu.configurations import DEVICES, configurations
from service.engine import DeviceUnavailableError, GraphError, ProviderCandidates
from service.engine.graph import Graph
from service.engine.providers import ProviderConfiguration

BATCHES = (1, 8, 32, 128, 512, 2048)
MODELS = ["rotmnist-c4", "rotmnist-c4-integer", "rotmnist-c8"]
"""Those of which a GPU takes every node, without the network of no symmetry."""


def main() -> None:
    """Print a Markdown table, a line as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*", default=MODELS)
    parser.add_argument("--device", choices=DEVICES, default="cuda")
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--seconds", type=float, default=0.3, help="for a figure")
    parser.add_argument("--batches", type=int, nargs="+", default=BATCHES)
    options = parser.parse_args()
    try:
        ways = configurations(options.device)
    except DeviceUnavailableError as error:
        sys.exit(str(error))
    print("Images a second, and in brackets the median milliseconds of a batch:\n")
    print("| model | precision | runs as | ready after s |", end="")
    print("".join(f" {size} |" for size in options.batches))
    print("| --- " * (4 + len(options.batches)) + "|", flush=True)
    for candidate in candidates(options.repository, options.models):
        for name, configuration in ways.items():
            print(f"| {candidate.name} | {candidate.precision} | {name} |", end="", flush=True)
            for cell in cells(candidate, configuration, options.batches, options.seconds):
                print(f" {cell} |", end="", flush=True)
            print()


def cells(
    candidate: Candidate,
    configuration: ProviderConfiguration,
    batches: Sequence[int],
    seconds: float,
) -> Iterator[str]:
    """Yield the seconds until a session is ready, then rate and latency of each batch size."""
    began, candidates = time.perf_counter(), ProviderCandidates((configuration,))
    try:
        graph = Graph(
            candidate.file,
            candidate.signature,
            candidates,
            cpu_budget(),
            max_batch_size=max(batches),
        )
    except GraphError as error:
        yield f"refused: {error}"
        return
    yield f"{time.perf_counter() - began:.1f}"
    for size in batches:
        batch = np.resize(candidate.images, (size, *candidate.images.shape[1:]))
        took = timed(graph, batch, seconds)
        yield f"{size * len(took) / sum(took):,.0f} ({1000 * statistics.median(took):.2f})"
    graph.close()


def timed(graph: Graph, batch: Images, seconds: float) -> list[float]:
    """Run a batch again and again for so long, at least once; return the seconds of each run."""
    for _ in range(3):
        graph.compute([batch])
    took: list[float] = []
    end = time.perf_counter() + seconds
    while (now := time.perf_counter()) < end or not took:
        graph.compute([batch])
        took.append(time.perf_counter() - now)
    return took


if __name__ == "__main__":
    main()
