"""Constants that every image of a batch gets: their shape holds the number of images."""

import math
from collections.abc import Sequence

import numpy as np

from audit.proof.file.node import Array, Node, Unsupported
from audit.proof.limits import Budget
from audit.proof.operators.ranges import of_constant
from audit.proof.values.batches import Value
from audit.proof.values.context import Tracked
from audit.proof.values.numbering import Numbering
from audit.proof.values.sizes import Batch, Sizes, as_sides


def repeat(node: Node, inputs: Sequence[Value], numbering: Numbering, budget: Budget) -> Tracked:
    """Give every image of a batch the same constants.

    Raises
    ------
    Unsupported
        If images get constants of their own.
    """
    if node.op == "ConstantOfShape":
        value = node.get("value", np.zeros(1, np.float32))
        array, sides = np.asarray(value).reshape(()), as_sides(_sides_of(inputs[0]))
    else:
        given = inputs[0]
        if not isinstance(given, np.ndarray):
            raise Unsupported("repeats sizes, which are not followed")
        array, sides = given, as_sides(_sides_of(inputs[1]))
    places = [place for place, side in enumerate(sides) if isinstance(side, Batch)]
    if len(places) != 1 or sides[places[0]] != Batch():
        raise Unsupported("computes with the number of images in a batch")
    place = places[0]
    array = array.reshape([1] * (len(sides) - array.ndim) + list(array.shape))
    if array.ndim != len(sides) or array.shape[place] != 1:
        raise Unsupported("gives each image of a batch constants of its own")
    lengths = [1 if isinstance(side, Batch) else side for side in sides]
    shape = np.broadcast_shapes(array.shape, tuple(lengths))
    budget.reserve(32 * math.prod(shape))
    numbers = np.moveaxis(numbering.constants(array), place, 0)
    there = [2, *(side for axis, side in enumerate(shape) if axis != place)]
    return Tracked(np.broadcast_to(numbers, there), array.dtype, of_constant(array), place)


def _sides_of(value: Value) -> Array | Sizes:
    if not isinstance(value, (np.ndarray, Sizes)):
        raise Unsupported("has a shape that is not known")
    return value
