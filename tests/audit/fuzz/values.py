"""Constants that go wrong where anything can."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

FLOATS = (
    *(0.0, -0.0, 1.0, -1.0, 0.5, 2.0, -2.0, 3.0, 255.0, 0.1, 1 / 3, 1e-3),
    *(1e10, -1e10, 3e38, 1e-40, 2.0**24 + 2, float("inf"), float("nan")),
)
INTEGERS = (
    0,
    1,
    -1,
    2,
    3,
    7,
    127,
    128,
    255,
    256,
    2**24 + 1,
    2**31 - 1,
    -7_777_777_777_777,
    2**53 + 1,
)


def draw(random: np.random.Generator, shape: tuple[int, ...], dtype: str, wild: float) -> Array:
    """Draw constants: small integers mostly, with one value for all of them more often than not."""
    kind = np.dtype(dtype)
    if random.random() < wild:
        choices = FLOATS if kind.kind == "f" else INTEGERS
        value = choices[int(random.integers(len(choices)))]
        with np.errstate(all="ignore"):
            if kind.kind != "f":
                value = int(value) % (np.iinfo(kind).max + 1)
            return np.full(shape, value).astype(kind)
    if random.random() < 0.7:
        return (
            np.full(shape, random.integers(-3, 4)).astype(kind)
            if kind.kind != "u"
            else np.full(shape, random.integers(0, 4)).astype(kind)
        )
    return random.integers(-3 if kind.kind != "u" else 0, 4, shape).astype(kind)


def kernel(random: np.random.Generator, filters: int, inputs: int, side: int) -> Array:
    """Draw filters of small integers, equal to their rotations, or all but one tap of them."""
    raw = random.integers(-2, 3, (filters, inputs, side, side))
    style = random.random()
    if style < 0.75:
        raw = sum(np.rot90(raw, quarters, (2, 3)) for quarters in range(4))
    if 0.6 < style < 0.75:
        raw = raw.copy()
        raw[0, 0, 0, 0] += 1
    weights = raw.astype(np.float64)
    if random.random() < 0.1:  # nearly tied, as filters are that were sampled
        return weights + 1e-6 * random.standard_normal(weights.shape)
    return weights / 7 if random.random() < 0.25 else weights
