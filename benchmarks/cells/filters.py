"""Filters of 11 x 11 pixels, learned on solar cells: are some of them others, turned or mirrored?

How it is read was fixed before a network was trained. Filters are *copies* if their best matches
exceed those of all but 1 % of the regroupings, and those expected among other networks' filters by
more than before training; a share of filters that match another one by 0.9 stands beside it. That
trained filters hardly leave their first, random values was seen only then, so that what training
added to them is compared in the same way.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray

from benchmarks.cells.runs import trained
from benchmarks.cells.systems import System
from benchmarks.features.measures import (
    COPY,
    best_matches,
    independent_matches,
    regrouped_means,
)
from benchmarks.machine import describe_machine
from benchmarks.study.measures import base_filters, filter_similarity, unit
from models.datasets import elpv
from models.networks import Convolution, NetworkSpec
from models.training import Training

_KERNEL, _ROUNDS, _LEVEL = 11, 1000, 0.01
_ADDED = ", what training added"

SYSTEMS = (
    System("plain", "trivial", augmented=False),
    System("plain, augmented", "trivial"),
)


def main() -> None:
    """Train what is missing, keep its filters, and print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.cells.filters", description=__doc__)
    parser.add_argument("--runs", type=Path, default=Path("runs/cells"))
    parser.add_argument("--seeds", type=int, default=3, help="networks of a kind")
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--arithmetic", default="bfloat16", choices=["float32", "bfloat16"])
    options = parser.parse_args()

    found: dict[str, list[NDArray[np.float32]]] = {"untrained": []}
    found |= {f"{system.name}{of}": [] for of in ("", _ADDED) for system in SYSTEMS}
    kept = []
    spec = network(SYSTEMS[0])
    data = elpv.read(spec.size, "modules")
    for seed in range(options.seeds):
        changes = {"epochs": options.epochs, "arithmetic": options.arithmetic, "seed": seed}
        for system in SYSTEMS:
            recipe = system.recipe().model_copy(update=changes)
            name = f"{system.name.replace(', ', '-')}-large-filters-{seed}"
            training = trained(name, spec, recipe, data, options.runs)
            first, last = (
                base_filters(Training(spec, recipe).network),
                base_filters(training.result),
            )
            found[system.name].append(last)
            found[f"{system.name}{_ADDED}"].append(last - first)
            kept.append((unit(_flat(first)) * unit(_flat(last))).sum(1))
        found["untrained"].append(first)  # the same for both systems
    print(f"{describe_machine()}, PyTorch {torch.__version__}, {options.epochs} epochs\n")
    print("\n".join(table(found)))
    print(f"\ncosine similarity with the first values: {np.median(kept):.3f}, the median")


def network(system: System) -> NetworkSpec:
    """Return the plain network of the comparison, with large filters first."""
    plain = system.network()
    stem, *rest = plain.layers
    if not isinstance(stem, Convolution):
        raise ValueError("The network does not begin with a convolution.")
    large = stem.model_copy(update={"kernel": _KERNEL, "padding": _KERNEL // 2})
    return plain.model_copy(update={"layers": (large, *rest)})


def table(found: dict[str, list[NDArray[np.float32]]]) -> Iterator[str]:
    """Yield the table, from the filters ``[F, k, k]`` of several networks of each kind."""
    yield (
        "| network | best match, mean | expected among another network's filters | regroupings "
        f"that match as well | filters with a match above {COPY} | expected | are copies |"
    )
    yield "| --- | --- | --- | --- | --- | --- | --- |"
    matches = {name: _match(banks) for name, banks in found.items()}
    before = matches["untrained"].excess
    for name, one in matches.items():
        copies = one.regrouped <= _LEVEL and one.excess > before
        cells = [
            f"{one.mean:.3f}",
            f"{one.expected:.3f}",
            f"{one.regrouped:.1%}",
            f"{one.copies:.1%}",
            f"{one.expected_copies:.1%}",
            "yes" if copies else "not shown",
        ]
        yield f"| {name} | {' | '.join(cells)} |"


class _Match(NamedTuple):
    """Of filters with others of their network, and what is expected of another network's."""

    mean: float
    expected: float
    regrouped: float
    copies: float
    expected_copies: float

    @property
    def excess(self) -> float:
        return self.mean - self.expected


def _match(banks: Sequence[NDArray[np.float32]]) -> _Match:
    networks = np.repeat(np.arange(len(banks)), [len(bank) for bank in banks])
    similarity = filter_similarity(np.concatenate(banks), mirrored=True).astype(np.float64)
    best = best_matches(similarity, networks)
    expected, expected_copies = independent_matches(similarity, networks)
    regrouped = regrouped_means(similarity, networks, _ROUNDS)
    return _Match(
        mean=float(best.mean()),
        expected=expected,
        regrouped=float((regrouped >= best.mean()).mean()),
        copies=float((best > COPY).mean()),
        expected_copies=expected_copies,
    )


def _flat(bank: NDArray[np.float32]) -> NDArray[np.float32]:
    return bank.reshape(len(bank), -1)


if __name__ == "__main__":
    main()
