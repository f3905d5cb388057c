"""The figures of one kind of network: a record a layer, from its moments alone."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from benchmarks.features.measures import (
    COPY,
    best_matches,
    effective_rank,
    explained,
    independent_matches,
    participation_ratio,
    regrouped_means,
    self_similarity,
    unit_similarity,
)
from benchmarks.features.moments import Array, live
from benchmarks.features.reading import (
    AS_IT_IS,
    EIGHTHS,
    OTHER_IMAGE,
    QUARTERS,
    RESAMPLED,
    LayerMoments,
    Target,
)

ROUNDS = 1000

COMPARED: dict[str, tuple[Target, ...]] = {
    "unrotated": (AS_IT_IS,),
    "quarters": (AS_IT_IS, *map(Target, QUARTERS)),
    "rotated_quarters": tuple(map(Target, QUARTERS)),
    "eighths": tuple(map(Target, EIGHTHS)),
    "other_image": (OTHER_IMAGE,),
}
"""By how much the channels of a pair may be rotated against each other, to be copies."""


def layer_figures(layer: LayerMoments, orbit: int, rounds: int = ROUNDS) -> dict[str, Any]:
    """Return a layer's figures; lists have an entry a network.

    Parameters
    ----------
    orbit
        How many channels share their parameters; they count as one unit.
    rounds
        How often units are regrouped.
    """
    return {
        "channels": layer.channels,
        **_linear(layer),
        **_spread(layer),
        "matches": {name: _matches(layer, what, orbit, rounds) for name, what in COMPARED.items()},
    }


def _linear(layer: LayerMoments) -> dict[str, list[float]]:
    """R² of a network's own maps, rotated, and of what they are held against.

    ``r2_other_network`` explains another seed's maps of the unrotated image: what one network's
    features know of any other's.
    """
    every = range(layer.networks)

    def own(*targets: Target) -> list[float]:
        return [float(np.mean([explained(*layer.pair(n, t, n)) for t in targets])) for n in every]

    return {
        "r2_quarters": own(*map(Target, QUARTERS)),
        "r2_eighths": own(*map(Target, EIGHTHS)),
        "r2_resampled": own(RESAMPLED),
        "r2_other_image": own(OTHER_IMAGE),
        "r2_other_network": [
            float(
                np.mean(
                    [explained(*layer.pair(n, AS_IT_IS, other)) for other in every if other != n]
                )
            )
            for n in every
        ],
    }


def _spread(layer: LayerMoments) -> dict[str, list[float]]:
    rotated = [layer.correlation(Target(degrees)) for degrees in QUARTERS]
    blocks = [slice(n * layer.channels, (n + 1) * layer.channels) for n in range(layer.networks)]
    covariances = [layer.whole.xx[b, b] for b in blocks]
    return {
        "live_channels": [int(live(np.diag(c)).sum()) for c in covariances],
        "effective_rank": [effective_rank(c) for c in covariances],
        "participation_ratio": [participation_ratio(c) for c in covariances],
        "self_similarity": [self_similarity([matrix[b, b] for matrix in rotated]) for b in blocks],
    }


def _matches(
    layer: LayerMoments, targets: Sequence[Target], orbit: int, rounds: int
) -> dict[str, Any]:
    """How good copies units have in their own network, and what independent ones would have."""
    similarity = unit_similarity([layer.correlation(target) for target in targets], orbit)
    networks = np.repeat(np.arange(layer.networks), layer.channels // orbit)
    best = best_matches(similarity, networks)
    null_mean, null_copies = independent_matches(similarity, networks)
    null_means = regrouped_means(similarity, networks, rounds)
    by_network = best.reshape(layer.networks, -1)
    return {
        "mean": by_network.mean(1).tolist(),
        "copies_percent": (100 * (by_network > COPY).mean(1)).tolist(),
        "null_mean": null_mean,
        "null_copies_percent": 100 * null_copies,
        "regrouped_band": np.percentile(null_means, [0.5, 99.5]).tolist(),
        "part_of_regrouped_above": _part_above(null_means, float(best.mean())),
    }


def _part_above(null: Array, value: float) -> float:
    """Return which part of the null is at least ``value``, which itself counts as one more."""
    return float((1 + (null >= value).sum()) / (1 + len(null)))
