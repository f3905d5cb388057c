"""Traps: small graphs of the kinds that proofs went wrong on, all their numbers drawn.

Random graphs seldom meet what these aim at: a literal that equals a placeholder, types that numpy
calls the same, constants that only one implementation folds so, an order that only NaN shows.
"""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np
import onnx

from tests.audit.fuzz.traps import (
    attributes,
    calls,
    folded,
    images,
    kinds,
    order,
    quantised,
    sizes,
    windows,
)
from tests.audit.fuzz.traps.sketch import Chooser

TRAPS: Final[Mapping[str, Callable[[Chooser], onnx.ModelProto]]] = {
    "batch as number": sizes.batch_as_number,
    "bound by batch": sizes.bound_by_batch,
    "large integers": kinds.large_integers,
    "near types": kinds.near_types,
    "few bits": kinds.few_bits,
    "wide order": kinds.wide_order,
    "NaN and zeros": order.nan_and_zeros,
    "cast out of range": order.cast_out_of_range,
    "step after rounding": order.step_after_rounding,
    "set against each other": order.set_against_each_other,
    "computed constants": folded.computed_constants,
    "default attributes": calls.default_attributes,
    "other defaults": calls.other_defaults,
    "odd outputs": calls.odd_outputs,
    "odd windows": windows.odd_windows,
    "transposed windows": windows.transposed_windows,
    "resized": windows.resized,
    "quantised groups": quantised.quantised_groups,
    "large products": quantised.large_products,
    "moved batches": images.moved_batches,
    "joined batches": images.joined_batches,
    "rows of images": images.rows_of_images,
    "branches that round": images.branches_that_round,
    "branches of odd windows": windows.branches_of_odd_windows,
    "odd attributes": attributes.odd_attributes,
}
"""By name; each gives another graph for every seed."""


def draw_trap(name: str, seed: int) -> onnx.ModelProto:
    """Draw a graph of one family; the same seed gives the same graph."""
    return TRAPS[name](Chooser(np.random.default_rng(seed)))
