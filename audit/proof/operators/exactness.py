"""Where a rotated image can change the last bits of a result."""

from typing import Final

import numpy as np

from audit.proof.file.types import is_float, is_integer, significand
from audit.proof.operators.ranges import every_input
from audit.proof.operators.record import Exact, Operator, Response
from audit.proof.values.context import Context


def rounds(operator: Operator, context: Context) -> bool:
    """Whether a node's last bits may depend on how the image is rotated.

    Sums of floats do, as the entries come in another order, unless all are whole and floats can
    hold every partial sum. So may functions that take more than one rounded operation: a runtime
    may compute them otherwise at the end of a row than in its middle. What is not moved is computed
    in the same place and order.
    """
    return not context.unmoved and is_inexact(operator, context)


def is_inexact(operator: Operator, context: Context, *, finite: bool = False) -> bool:
    """Whether a node's last bits depend on the order of its inputs' entries, or on their places.

    Parameters
    ----------
    finite
        Whether it is taken for granted that no entry is infinite or NaN.
    """
    dtypes = [value.dtype for value in context.tracked]
    if any(dtype is None for dtype in dtypes):
        return True
    integers = all(dtype is not None and is_integer(dtype) for dtype in dtypes)
    floats = operator.floats if isinstance(operator.floats, str) else operator.floats(context)
    exact: Exact = operator.integers if integers else floats
    if saturates(operator, context) or _may_leave_range(operator, context):
        return True
    if context.reordered and not integers and exact == "always":
        return True
    match exact:
        case "always":
            return False
        case "bounded" | "ordered" if finite:
            return False
        case "bounded":
            return any(value.bound.unbounded for value in context.tracked)
        case "ordered":
            return any(bound.unbounded for bound in every_input(context))
        case "whole":
            return not _sums_exactly(operator, context)
    return True


def hides_nan(operator: Operator, context: Context) -> bool:
    """Whether a pool may give the least number for NaN, which an order of operations decides on."""
    return operator.name in ("GlobalMaxPool", "MaxPool") and any(
        value.bound.rounded and value.bound.unbounded for value in context.tracked
    )


def _may_leave_range(operator: Operator, context: Context) -> bool:
    """Whether floats are cast to integers that they are in range of in real arithmetic alone."""
    dtype = context.dtype
    floats = dtype is not None and (is_float(dtype) or dtype.name == "bool")
    return operator.name == "Cast" and not floats and context.image().bound.loose


def is_loose(operator: Operator, context: Context) -> bool:
    """Whether floats may lie outside of a node's bound, which is that of real arithmetic.

    What is rounded once keeps its bound, which is widened by the rounding. Of several operations
    nobody knows: a runtime's hyperbolic tangent may be larger than 1.
    """
    if operator.name == "QuantizeLinear" or (
        context.dtype is not None and context.dtype.name == "bool"
    ):
        return False  # all that the type holds
    return any(v.bound.loose for v in context.tracked) or is_inexact(operator, context)


def saturates(operator: Operator, context: Context) -> bool:
    """Whether a runtime may not compute integers as integers, where the operator is exact."""
    integers = all(v.dtype is not None and is_integer(v.dtype) for v in context.tracked)
    return integers and operator.integers == "always" and not _is_integral(operator, context)


def _is_integral(operator: Operator, context: Context) -> bool:
    """Whether a runtime computes integers as integers.

    onnxruntime 1.31 adds two products of bytes in 16 bits on processors without VNNI, which
    saturate; its vector code compares integers of 64 bits by halves; and it sums these as doubles.
    """
    name = operator.name
    if name in _OF_BYTES:
        weights, x = context.constant(_OF_BYTES[name]), context.tracked[0]
        if weights is None or not weights.size:
            return False
        zero = context.constant(_ZERO)  # which pads, whatever the entries are
        pads = 0.0 if zero is None else float(np.abs(zero.astype(np.float64)).max(initial=0))
        largest = float(np.abs(weights.astype(np.float64)).max())
        return 2 * max(min(x.bound.magnitude, 255.0), pads) * largest < 2**15
    bounds = every_input(context)
    wide = any(v.dtype is not None and v.dtype.itemsize == 8 for v in context.tracked)
    if not wide or name in _PLAIN_ON_WIDE:
        return True
    if any(not bound.magnitude < 2.0**31 for bound in bounds) or name in _PRODUCTS:
        return False
    return operator.partial_sums is None or operator.partial_sums(context) <= 2.0**53


def rounds_alike(operator: Operator, context: Context, *, given: bool) -> bool:
    """Whether equal rows have equal bits in whatever place of a batch, and at whatever address.

    The vector code of onnxruntime leaves the entries at the end of a tensor to other code, with
    other last bits, and sums what begins at an odd address in another order.

    Parameters
    ----------
    given
        Whether the node may read the caller's memory, which lies anywhere. The runtime aligns its
        own.
    """
    if context.copies == 1 and not given:
        return True
    dtypes = [value.dtype for value in context.tracked]
    if any(dtype is None or dtype.itemsize > 4 for dtype in dtypes):
        return False
    stored = len(context.tracked) == 2 or isinstance(context.given(1), np.ndarray)
    return operator.name in _ALIKE_IN_ROWS and (stored or operator.name not in ("Gemm", "MatMul"))


def mixes_zeros(operator: Operator, context: Context) -> bool:
    """Whether the sign of a zero among the outputs may depend on the order of the inputs."""
    return (
        operator.floats == "ordered"
        and not context.unmoved
        and any(bound.has_both_zeros for bound in every_input(context))
    )


def reads_zeros(operator: Operator, context: Context) -> bool:
    """Whether a zero's sign, where it may be either, makes more than a zero's sign of it."""
    blind = operator.blind_to_zeros
    return any(value.bound.either_zero for value in context.tracked) and not (
        blind if isinstance(blind, bool) else blind(context)
    )


def _sums_exactly(operator: Operator, context: Context) -> bool:
    x = context.tracked[0]
    if operator.partial_sums is None or x.bound.unbounded or x.bound.loose:
        return False
    if x.dtype is None or not is_float(x.dtype):
        return False
    return operator.partial_sums(context) <= 2.0 ** significand(x.dtype)


def response(operator: Operator, context: Context) -> Response:
    """Return what a small change of an input does to the outputs."""
    found = operator.response
    return found if isinstance(found, str) else found(context)


_OF_BYTES: Final = {"ConvInteger": 1, "MatMulInteger": 1, "QLinearConv": 3, "QLinearMatMul": 3}
"""Where these have the weights that are multiplied with bytes."""

_ZERO: Final = 2
"""Where they have the zero point of the bytes."""

_PRODUCTS: Final = {"Einsum", "ReduceProd", "ReduceSumSquare"}
_PLAIN_ON_WIDE: Final = {
    *("Add", "And", "BitwiseAnd", "BitwiseNot", "BitwiseOr", "BitwiseXor", "Cast", "Concat"),
    *("DepthToSpace", "Dropout", "Equal", "Expand", "Flatten", "Gather", "Identity", "Mul", "Not"),
    *("Or", "Pad", "Reshape", "Slice", "SpaceToDepth", "Split", "Squeeze", "Sub", "Tile"),
    *("Transpose", "Unsqueeze", "Where", "Xor"),
}
"""Those that compute every bit of a 64-bit integer."""

_ALIKE_IN_ROWS: Final = {
    *("AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "Erf", "Exp", "Gelu", "Gemm"),
    *("GlobalAveragePool", "GlobalLpPool", "HardSigmoid", "HardSwish", "LayerNormalization"),
    *("LogSoftmax", "LpPool", "MatMul", "Mean", "Pow", "Reciprocal", "Sigmoid", "Softmax"),
    *("Softsign", "Sqrt", "Sum", "Tanh"),
}
"""Those that onnxruntime 1.31.1 was seen to round alike in all rows of a batch, in single precision
and less: of 1 to 130 entries, in batches of 1 to 67, by 1 to 8 threads."""

SAYING: Final = {
    "step": "may become a whole step",
    "steep": "may be magnified without a bound",
}
"""What becomes of a last bit."""
