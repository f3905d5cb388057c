"""The contract of every model file: the names and types of its one input and its two outputs."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

INPUT: Final = "image"
"""The input: uint8 `[N, C, H, W]`, with N free. Scaling and normalisation are in the graph."""

LOGITS: Final = "logits"
"""An output: float32 `[N, K]`."""

PROBABILITIES: Final = "probabilities"
"""An output, float32 `[N, K]`: the softmax of the logits or, of a model that gives several labels,
their sigmoids."""

OUTPUTS: Final = (LOGITS, PROBABILITIES)

Images = NDArray[np.uint8]
"""What a model takes, `[N, C, H, W]`."""


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities over the last axis, computed in float64."""
    exact = logits.astype(np.float64)
    powers = np.exp(exact - exact.max(axis=-1, keepdims=True))
    probabilities: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return probabilities


def probabilities_of(logits: NDArray[np.floating], *, multi_label: bool) -> NDArray[np.float64]:
    """What a model's logits `[..., K]` stand for: one distribution, or a probability a label."""
    if not multi_label:
        return softmax(logits)
    return 1 / (1 + np.exp(-np.clip(logits.astype(np.float64), -_FAR, _FAR)))


def decisions(logits: NDArray[np.floating], *, multi_label: bool) -> NDArray[np.bool_]:
    """Which labels an image gets, bool `[..., K]`: the likeliest one, or all that are likely.

    A label of a multi-label model is likely where its logit is above 0: its probability is above
    one half then, which float32 cannot always say.
    """
    if multi_label:
        return np.asarray(logits > 0)
    return np.asarray(np.arange(logits.shape[-1]) == logits.argmax(axis=-1)[..., None])


def same_labels(
    logits: NDArray[np.floating], others: NDArray[np.floating], *, multi_label: bool
) -> NDArray[np.bool_]:
    """Whether two answers `[..., K]` give an image the same labels, every single one of them."""
    one, other = (decisions(each, multi_label=multi_label) for each in (logits, others))
    return np.asarray((one == other).all(axis=-1))


_FAR: Final = 700.0
"""No logit beyond it changes its sigmoid; exp overflows soon after."""
