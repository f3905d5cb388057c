"""The contract of every model file: the names and types of its one input and its two outputs."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

INPUT: Final = "image"
"""The input: uint8 `[N, C, H, W]`, with N free. Scaling and normalisation are in the graph."""

LOGITS: Final = "logits"
"""An output: float32 `[N, K]`."""

PROBABILITIES: Final = "probabilities"
"""An output: the softmax of the logits, float32 `[N, K]`."""

OUTPUTS: Final = (LOGITS, PROBABILITIES)

Images = NDArray[np.uint8]
"""What a model takes, `[N, C, H, W]`."""


def softmax(logits: NDArray[np.floating]) -> NDArray[np.float64]:
    """Probabilities over the last axis, computed in float64."""
    exact = logits.astype(np.float64)
    powers = np.exp(exact - exact.max(axis=-1, keepdims=True))
    probabilities: NDArray[np.float64] = powers / powers.sum(axis=-1, keepdims=True)
    return probabilities
