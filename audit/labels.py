"""Labels that images should get, and sets of labels that they get."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from imaging import RefusedError

MANY_LABELS: Final = (
    "The model may give an image several labels, and what an image shows is said by one; images "
    "without labels are accepted."
)


def refuse_several_labels(multi_label: bool, name: str, done: str) -> None:
    """Refuse a model of several labels where one a image is needed, for something to be done."""
    if multi_label:
        raise RefusedError(
            f"{name} may give an image several labels, or none, and only models that give one are "
            f"{done}; it can be served and audited."
        )


def check_labels(labels: NDArray[np.int64] | None, classes: int) -> None:
    """Refuse labels int64 [N] of which one is no class."""
    if labels is None:
        return
    strange = labels[(labels < 0) | (labels >= classes)]
    if strange.size:
        raise RefusedError(
            f"The label of an image is {strange[0]}; the model has {classes} classes, and 0 to "
            f"{classes - 1} are accepted."
        )


@dataclass(frozen=True, eq=False)
class LabelSets:
    """What images get from a model that gives several labels, as one number an image.

    Attributes
    ----------
    numbers : int64 [...]
        A single label has its class index; no label, and several, are numbered behind them.
    sets
        The class indices of the set with the number K, of that with K + 1, and so on.
    """

    numbers: NDArray[np.int64]
    sets: tuple[tuple[int, ...], ...]


def number_sets(decided: NDArray[np.bool_]) -> LabelSets:
    """Number the sets of labels that are decided on, bool [..., K]: equal sets, equal numbers."""
    classes = decided.shape[-1]
    rows = decided.reshape(-1, classes)
    distinct, of = np.unique(rows, axis=0, return_inverse=True)
    single = distinct.sum(axis=1) == 1
    numbers = np.where(single, distinct.argmax(axis=1), classes - 1 + np.cumsum(~single))
    sets = tuple(tuple(np.flatnonzero(row).tolist()) for row in distinct[~single])
    return LabelSets(numbers[of.reshape(-1)].reshape(decided.shape[:-1]), sets)


def set_name(names: Sequence[str], labels: Sequence[int]) -> str:
    """What a set of labels is called."""
    return " + ".join(names[label] for label in labels) or "no label"
