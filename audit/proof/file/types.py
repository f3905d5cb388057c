"""Types of elements, told apart by name: numpy's codes are the same for several small types."""

from functools import lru_cache
from typing import Any, Final

import ml_dtypes
import numpy as np

DType = np.dtype[Any]

_SIGNIFICANDS: Final = {"float64": 53, "float32": 24, "float16": 11, "bfloat16": 8}


@lru_cache(maxsize=64)
def name_of(dtype: DType) -> str:
    """Return a type's name, which numpy puts together anew every time."""
    return dtype.name


@lru_cache(maxsize=64)
def is_integer(dtype: DType) -> bool:
    """Whether the elements are integers, of any width, or truth values."""
    return dtype.name == "bool" or dtype.name.startswith(("int", "uint"))


@lru_cache(maxsize=64)
def is_float(dtype: DType) -> bool:
    """Whether the elements are floats, of any width."""
    return dtype.name.startswith(("float", "bfloat"))


@lru_cache(maxsize=64)
def is_exchanged(dtype: DType) -> bool:
    """Whether a type is one of numpy's own, in which runtimes take and give arrays."""
    return dtype.isbuiltin == 1


@lru_cache(maxsize=64)
def significand(dtype: DType) -> int:
    """Return how many bits a float holds, 0 if that is not known.

    Integers up to ``2^bits`` are summed exactly.
    """
    return _SIGNIFICANDS.get(dtype.name, 0)


@lru_cache(maxsize=64)
def extremes(dtype: DType) -> tuple[float, float]:
    """Return the smallest and the largest finite value of a type of numbers."""
    if dtype.name == "bool":
        return 0.0, 1.0
    if is_integer(dtype):
        limits: Any = ml_dtypes.iinfo(dtype)  # type: ignore[no-untyped-call]
        low, high = float(limits.min), float(limits.max)
        # A double cannot hold the largest integer of 64 bits, and rounds it up.
        return low, np.nextafter(high, 0.0).item() if high > limits.max else high
    found: Any = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
    return float(found.min), float(found.max)


@lru_cache(maxsize=64)
def smallest(dtype: DType) -> float:
    """Return the smallest positive number of a type of floats."""
    found: Any = ml_dtypes.finfo(dtype)  # type: ignore[no-untyped-call]
    return float(found.smallest_subnormal)
