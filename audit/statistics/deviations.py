"""How far the answers to single images move: a distribution over magnitudes."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from artifact.deviation import relative
from artifact.values import Count, Magnitude


@dataclass(frozen=True)
class DeviationBin:
    """So many images move by more than `low` and by at most `high`."""

    low: Magnitude
    high: Magnitude
    images: Count


@dataclass(frozen=True)
class DeviationDistribution:
    """Of each image, the largest change of a logit, relative to the largest logit of all.

    Attributes
    ----------
    unmoved
        Images none of whose logits changed in any bit.
    median, ninety_five
        So far move half of all images and 95 % of them at most.
    bins
        Of the other images, three bins a decade, without a gap from the least to the largest.
    """

    unmoved: Count
    median: Magnitude
    ninety_five: Magnitude
    bins: tuple[DeviationBin, ...]

    @property
    def images(self) -> int:
        """How many there are, moved or not."""
        return self.unmoved + sum(each.images for each in self.bins)


def deviations(moved: NDArray[np.float64], largest_logit: float) -> DeviationDistribution:
    """Count N images by how far a logit of each moved, float64 [N]."""
    moved = relative(moved, largest_logit)
    changed = moved[moved > 0]
    return DeviationDistribution(
        unmoved=int(len(moved) - len(changed)),
        median=_quantile(moved, 0.5),
        ninety_five=_quantile(moved, 0.95),
        bins=_bins(changed) if len(changed) else (),
    )


def _bins(changed: NDArray[np.float64]) -> tuple[DeviationBin, ...]:
    # Read from decimals, so that each edge is the same float on every machine.
    decades = range(_decade(changed.min()) - 1, _decade(changed.max()) + 2)
    edges = np.array([float(f"{digit}e{k}") for k in decades for digit in (1, 2, 5)])
    first, last = np.searchsorted(edges, (changed.min(), changed.max()))
    place = np.searchsorted(edges, changed)
    return tuple(
        DeviationBin(float(edges[i - 1]), float(edges[i]), int((place == i).sum()))
        for i in range(first, last + 1)
    )


def _decade(value: float) -> int:
    return int(np.floor(np.log10(value)))


def _quantile(moved: NDArray[np.float64], part: float) -> float:
    return float(np.quantile(moved, part, method="inverted_cdf"))
