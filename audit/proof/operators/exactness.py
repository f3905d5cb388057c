"""Where a turned image can change the last bits of a result."""

from typing import Final

from audit.proof.context import Context
from audit.proof.operators.ranges import every_input
from audit.proof.operators.record import Exact, Operator, Response
from audit.proof.types import is_float, is_integer, significand


def rounds(operator: Operator, context: Context) -> bool:
    """Whether a node's last bits may depend on how the image is turned.

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
    if operator.partial_sums is None or x.bound.unbounded:
        return False
    if x.dtype is None or not is_float(x.dtype):
        return False
    return operator.partial_sums(context) <= 2.0 ** significand(x.dtype)


def response(operator: Operator, context: Context) -> Response:
    """Return what a small change of an input does to the outputs."""
    found = operator.response
    return found if isinstance(found, str) else found(context)


SAYING: Final = {
    "step": "may become a whole step",
    "steep": "may be magnified without a bound",
}
"""What becomes of a last bit."""
