"""What labels say about the images that were asked about: their variety, and classes that fail."""

from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from artifact.values import Count, Part, PartInterval
from audit.statistics import special
from audit.statistics.binomial import clopper_pearson
from audit.statistics.paired import sign_test


@dataclass(frozen=True)
class Cell:
    """One class: how many of its images keep their label.

    Attributes
    ----------
    label
        Class index.
    interval
        Of this class alone, Clopper-Pearson.
    adjusted_p
        Holm's adjusted p-value of the hypothesis that the class meets what is asked of all or,
        where that was looked at, that it loses no more labels rotated than without a rotation.
    below
        Whether that hypothesis is refused; among all classes together, a true one is refused with
        at most the probability (1 - confidence) / 2. The other half is that of the interval of all
        images, so that a verdict on both is wrong no more often than is stated.
    """

    label: Count
    images: Annotated[Count, Field(ge=1)]
    agreeing: Count
    interval: PartInterval
    adjusted_p: Part
    below: bool


def label_entropy(labels: NDArray[np.int64]) -> float:
    """Shannon entropy, in bits, of the labels int64 [N]; 0 when all are the same."""
    counts = np.unique(labels, return_counts=True)[1]
    return float(np.sum(counts / labels.size * np.log2(labels.size / counts)))


def chance_agreement(
    labels: NDArray[np.int64], weights: NDArray[np.float64] | None = None
) -> float:
    """The chance that two of the labels int64 [N], drawn at random, are the same.

    So often would a label be kept that a rotation draws anew: Cohen's expected agreement. Labels
    count by their weights, float64 [N], where they are given.
    """
    counts = np.bincount(np.unique(labels, return_inverse=True)[1], weights)
    return float(np.sum((counts / counts.sum()) ** 2))


def class_cells(
    classes: NDArray[np.int64],
    agrees: NDArray[np.bool_],
    asked: float,
    confidence: float,
    control: NDArray[np.bool_] | None = None,
) -> tuple[Cell, ...]:
    """Test each class of int64 [N] against what is asked, given which images agree, bool [N].

    With a `control`, bool [N], which says what agrees without a rotation, a class is below only
    where it also loses more than that: the larger of both p-values counts.
    """
    labels = np.unique(classes)
    images = np.array([(classes == label).sum() for label in labels])
    agreeing = np.array([agrees[classes == label].sum() for label in labels])
    chance = np.asarray(special.bdtr(agreeing, images, asked), np.float64)
    if control is not None:
        chance = np.maximum(chance, [_losing_more(agrees, control, classes == n) for n in labels])
    adjusted = holm(chance)
    return tuple(
        Cell(
            label=int(label),
            images=int(n),
            agreeing=int(k),
            interval=clopper_pearson(int(k), int(n), confidence),
            adjusted_p=float(p),
            below=bool(p < (1 - confidence) / 2),
        )
        for label, n, k, p in zip(labels, images, agreeing, adjusted, strict=True)
    )


def _losing_more(
    agrees: NDArray[np.bool_], control: NDArray[np.bool_], among: NDArray[np.bool_]
) -> float:
    only = int((~agrees & control & among).sum())
    return sign_test(only, int((agrees & ~control & among).sum()))


def holm(p_values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Adjust p-values, float64 [M], of hypotheses that are tested together.

    References
    ----------
    S. Holm, Scandinavian Journal of Statistics 6 (1979) 65, section 3.
    """
    order = np.argsort(p_values, kind="stable")
    remaining = np.arange(len(p_values), 0, -1)
    adjusted = np.empty_like(p_values)
    adjusted[order] = np.minimum(np.maximum.accumulate(remaining * p_values[order]), 1)
    return adjusted
