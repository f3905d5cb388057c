"""Two answers to one image, upright and turned, side by side."""

from dataclasses import dataclass
from math import inf

import numpy as np

from service.engine.queue import Floats


@dataclass(frozen=True)
class Comparison:
    """How far a turned image's answer is from that to the upright one.

    Attributes
    ----------
    label, turned_label
        Class indices.
    deviation
        Largest change of a logit, relative to the largest logit of both; infinite where one is not
        finite.
    margin
        Distance of the two largest logits of the upright image.
    """

    label: int
    turned_label: int
    deviation: float
    margin: float

    @property
    def agrees(self) -> bool:
        """Whether the label is the same."""
        return self.label == self.turned_label


def compare(upright: Floats, turned: Floats) -> Comparison:
    """Compare logits [K] with logits [K], K at least 2."""
    a, b = upright.astype(np.float64), turned.astype(np.float64)
    largest = float(np.maximum(np.abs(a), np.abs(b)).max())
    if not np.isfinite(largest):  # NumPy's maximum with NaN in it is NaN, unlike Python's
        return Comparison(int(a.argmax()), int(b.argmax()), inf, 0.0)
    change = float(np.abs(a - b).max())
    second, first = np.partition(a, -2)[-2:]
    return Comparison(
        label=int(a.argmax()),
        turned_label=int(b.argmax()),
        deviation=change / largest if largest else 0.0,
        margin=float(first - second),
    )
