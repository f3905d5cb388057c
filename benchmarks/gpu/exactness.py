"""Which file keeps its bits on a device: rotated, in other batches, asked again, and as on the CPU.

Run ``python -m benchmarks.gpu.exactness --device cuda``. A file that the device does not take whole
is measured once more with the CPU taking the rest, and the operators that went there are counted.
"""

import argparse
import re
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from artifact.contract import Images
from audit import Classifier, measure_exactness
from audit.exactness import BATCH_SIZES
from benchmarks.gpu.candidates import Candidate, candidates
from benchmarks.gpu.configurations import DEVICES, configurations, shared_with_cpu
from service.engine import DeviceUnavailableError, GraphError, ProviderCandidates
from service.engine.graph import Graph
from service.engine.providers import CPU, ProviderConfiguration
from service.engine.queue import Floats

COLUMNS = (
    "model",
    "precision",
    "runs as",
    "rotated by quarters",
    f"batches of {', '.join(map(str, BATCH_SIZES))}, other neighbours",
    "asked again",
    "from the CPU",
    "labels of the CPU",
)
LARGEST = max(BATCH_SIZES)


@dataclass(frozen=True)
class Moves:
    """By how much a logit changes at most, 0 only if every bit is the same; and labels kept.

    Attributes
    ----------
    rotated
        When images are rotated by quarters, in batches of 64.
    batched
        When they come in batches of other sizes, among other neighbours.
    again
        When the same batches are asked again.
    from_cpu
        From what the CPU answers.
    labels, images
        How many images have the CPU's label, of how many.
    """

    rotated: float
    batched: float
    again: float
    from_cpu: float
    labels: int
    images: int


def main() -> None:
    """Print a Markdown table, a line as soon as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("models", nargs="*")
    parser.add_argument("--device", choices=DEVICES, default="cuda")
    parser.add_argument("--repository", type=Path, default=Path("model_repository"))
    parser.add_argument("--images", type=int, default=512, help="of the audit set, at most")
    options = parser.parse_args()
    try:
        ways = configurations(options.device)
    except DeviceUnavailableError as error:
        sys.exit(str(error))
    print("A logit changes by at most, 0 where every bit is the same:\n")
    print(f"| {' | '.join(COLUMNS)} |\n{'| --- ' * len(COLUMNS)}|", flush=True)
    for candidate in candidates(options.repository, options.models):
        for row in rows(candidate, ways, options.images):
            print(f"| {' | '.join(row)} |", flush=True)


def rows(
    candidate: Candidate, ways: dict[str, ProviderConfiguration], images: int
) -> Iterator[tuple[str, ...]]:
    """Yield a cell for each configuration; the last, after a refusal, beside the CPU."""
    reference = Graph(candidate.file, candidate.signature, ProviderCandidates((CPU,)), 1, LARGEST)
    head = candidate.name, candidate.precision
    for name, configuration in ways.items():
        try:
            moves = measure(candidate, configuration, reference, images)
        except GraphError as error:
            yield *head, name, f"refused: {error}", "", "", "", ""
            beside = shared_with_cpu(configuration)
            graph = Graph(
                candidate.file, candidate.signature, ProviderCandidates((beside,)), 1, LARGEST
            )
            moves = _moves(candidate, graph, reference, images)
            yield *head, f"{name} beside the CPU: {_operators(graph)}", *_cells(moves)
            return
        yield *head, name, *_cells(moves)


def measure(
    candidate: Candidate, configuration: ProviderConfiguration, reference: Graph, images: int
) -> Moves:
    """Open a file on a configuration and measure it.

    Raises
    ------
    GraphError
        If the configuration does not take the whole graph.
    """
    graph = Graph(
        candidate.file, candidate.signature, ProviderCandidates((configuration,)), 1, LARGEST
    )
    return _moves(candidate, graph, reference, images)


def _moves(candidate: Candidate, graph: Graph, reference: Graph, images: int) -> Moves:
    some, group = candidate.images[:images], candidate.card.audit.group
    classify, expected = _classifier(graph), _in_batches(_classifier(reference), some)
    sessions = [("device", classify)]
    rotated = measure_exactness(sessions, some, group, (LARGEST,))
    batched = measure_exactness(sessions, some, "trivial")
    first, second = _in_batches(classify, some), _in_batches(classify, some)
    return Moves(
        _bits(rotated.exact, rotated.max_logit_deviation),
        _bits(batched.exact, batched.max_logit_deviation),
        _difference(first, second),
        _difference(first, expected),
        int((first.argmax(-1) == expected.argmax(-1)).sum()),
        len(some),
    )


def _classifier(graph: Graph) -> Classifier:
    return lambda images: graph.compute([images]).logits


def _in_batches(classify: Classifier, images: Images) -> Floats:
    parts = range(LARGEST, len(images), LARGEST)
    return np.concatenate([classify(part) for part in np.array_split(images, parts)])


def _difference(one: Floats, other: Floats) -> float:
    same = np.array_equal(one.view(np.uint32), other.view(np.uint32))
    return _bits(same, float(np.abs(one.astype(np.float64) - other).max()))


def _bits(same: bool, deviation: float) -> float:
    """Return the deviation; zeros of different signs, equal numbers of other bits, count too."""
    return deviation if same or deviation else float(np.finfo(np.float32).tiny)


def _operators(graph: Graph) -> str:
    """Count the operators that each provider was given."""
    return "; ".join(
        f"{provider.removesuffix('ExecutionProvider')} has "
        + ", ".join(f"{count} {kind}" for kind, count in Counter(_kinds(nodes)).most_common())
        for provider, nodes in graph.nodes.items()
    )


def _kinds(nodes: list[str]) -> list[str]:
    return [re.sub(r".*\((\w+)\)$", r"\1", node) for node in nodes]


def _cells(moves: Moves) -> tuple[str, ...]:
    deviations = (moves.rotated, moves.batched, moves.again, moves.from_cpu)
    return *(f"{value:.2g}" for value in deviations), f"{moves.labels} of {moves.images}"


if __name__ == "__main__":
    main()
