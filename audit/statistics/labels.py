"""What labels say about the images that were asked about: their variety, and classes that fail."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import bdtr

from audit.statistics.binomial import Interval, clopper_pearson


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
        Holm's adjusted p-value of the hypothesis that the class meets what is asked of all.
    below
        Whether that hypothesis is refused; among all classes together, a true one is refused with
        at most the probability 1 - confidence.
    """

    label: int
    images: int
    agreeing: int
    interval: Interval
    adjusted_p: float
    below: bool


def label_entropy(labels: NDArray[np.int64]) -> float:
    """Shannon entropy, in bits, of the labels int64 [N]; 0 when all are the same."""
    counts = np.unique(labels, return_counts=True)[1]
    return float(np.sum(counts / labels.size * np.log2(labels.size / counts)))


def chance_agreement(labels: NDArray[np.int64]) -> float:
    """The chance that two of the labels int64 [N], drawn at random, are the same.

    So often would a label be kept that a turn draws anew: Cohen's expected agreement.
    """
    counts = np.unique(labels, return_counts=True)[1]
    return float(np.sum((counts / labels.size) ** 2))


def class_cells(
    classes: NDArray[np.int64], agrees: NDArray[np.bool_], asked: float, confidence: float
) -> tuple[Cell, ...]:
    """Test each class of int64 [N] against what is asked, given which images agree, bool [N]."""
    labels = np.unique(classes)
    images = np.array([(classes == label).sum() for label in labels])
    agreeing = np.array([agrees[classes == label].sum() for label in labels])
    adjusted = holm(np.asarray(bdtr(agreeing, images, asked), np.float64))
    return tuple(
        Cell(
            label=int(label),
            images=int(n),
            agreeing=int(k),
            interval=clopper_pearson(int(k), int(n), confidence),
            adjusted_p=float(p),
            below=bool(p < 1 - confidence),
        )
        for label, n, k, p in zip(labels, images, agreeing, adjusted, strict=True)
    )


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
