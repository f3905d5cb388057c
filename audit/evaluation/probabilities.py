"""From what a model answers to the probabilities that it means."""

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from scipy.special import log_softmax

_SUM: Final = 1e-3
"""How far float16 probabilities of a thousand classes may add up to something other than 1."""


@dataclass(frozen=True, eq=False)
class Probabilities:
    """Of N images and K classes.

    Attributes
    ----------
    labels : int64 [N]
        The class of the largest answer, the first where several are equal.
    values, logs : float64 [N, K]
        Probabilities, and their natural logarithms.
    ranks : int64 [N, K]
        Of each class, from 1, in the order that `labels` is the first of.
    normalised
        Whether the answers were probabilities themselves.
    """

    labels: NDArray[np.int64]
    values: NDArray[np.float64]
    logs: NDArray[np.float64]
    ranks: NDArray[np.int64]
    normalised: bool


def probabilities(answers: NDArray[np.float32]) -> Probabilities:
    """Read answers float32 [N, K]: logits or, where each image's add up to 1, probabilities.

    A file without a card does not say which of the two it gives. Logits of several images that are
    all positive and add up to 1 do not come about by chance; one image's could.
    """
    exact = answers.astype(np.float64)
    normalised = (
        len(exact) > 1 and exact.min() >= 0 and bool((abs(exact.sum(axis=1) - 1) <= _SUM).all())
    )
    if normalised:
        values = exact / exact.sum(axis=1, keepdims=True)
        with np.errstate(divide="ignore"):
            logs = np.log(values)
    else:
        logs = np.asarray(log_softmax(exact, axis=1))
        values = np.exp(logs)
    order = np.argsort(-exact, axis=1, kind="stable")
    ranks = np.empty_like(order)
    np.put_along_axis(ranks, order, np.arange(1, exact.shape[1] + 1)[None], axis=1)
    return Probabilities(order[:, 0], values, logs, ranks, normalised)
