"""Nodes that a rule does not follow, and of which it is known that they see each image alone.

A window that is larger than its input, or one more than fits: what runtimes make of it is not
followed, and it is some function of the image all the same. Branches that apply it to rotated
images exchange their answers when the image is rotated.
"""

import math

import numpy as np
import onnx

from audit.proof.file.node import Array, Unsupported
from audit.proof.operators.record import Operator
from audit.proof.runtime.folding import Runtime, attempt
from audit.proof.values.context import Context, Tracked
from audit.proof.values.numbering import Numbers


def number_unread(
    operator: Operator, context: Context, runtime: Runtime | None, reason: str
) -> Numbers:
    """Number what a node gives each image by itself, as a function of which nothing is known.

    Parameters
    ----------
    runtime
        Confirms the shape of what the node gives.
    reason
        Why its rule does not follow it.

    Raises
    ------
    Unsupported
        If the node might see more than one image, or its shape is not known.
    """
    image, *others = context.inputs
    stored = all(value is None or isinstance(value, np.ndarray) for value in others)
    if not (operator.image_by_image and isinstance(image, Tracked) and stored):
        raise Unsupported(reason)
    zeros = np.zeros((1, *context.image().shape), context.image().dtype)
    constants = [context.constant(place) for place in range(1, len(context.inputs))]
    shape = _shape(context, [zeros, *constants], runtime)
    if shape is None:
        raise Unsupported(reason)
    context.unread, context.mismatch, context.terms = True, None, None
    return context.opaque(shape[1:], reason)


def _shape(
    context: Context, arrays: list[Array | None], runtime: Runtime | None
) -> list[int] | None:
    """Return the shape of what a node gives, if ONNX and a runtime agree on it."""
    model, feeds = context.node.alone(arrays)
    inferred = onnx.shape_inference.infer_shapes(model).graph.output[0].type.tensor_type.shape
    shape = [axis.dim_value for axis in inferred.dim]
    context.reserve(math.prod(shape))
    theirs = None if runtime is None else attempt(runtime, model, feeds)
    agreed = theirs is not None and [list(value.shape) for value in theirs] == [shape]
    return shape if agreed and all(shape) else None
