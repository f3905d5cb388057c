"""Where each linear operator keeps its weights, and in which layout."""

from collections.abc import Sequence
from typing import Final, NamedTuple, cast

import numpy as np

from audit.proof.file.node import Array, Unsupported
from audit.proof.file.types import is_integer
from audit.proof.values.context import Context
from audit.proof.values.matching import Floats


class Weights(NamedTuple):
    """Weights of a linear node in float64, which holds each of them exactly.

    Attributes
    ----------
    matrix
        ``[F, C / groups, kh, kw]`` for a convolution, ``[F, I]`` for a matrix product.
    extras : [F, E]
        What comes with each filter; the first is its bias.
    exact
        Whether the arithmetic is that of integers, so that a residual has no meaning.
    """

    matrix: Floats
    extras: Floats
    exact: bool


def read_weights(context: Context) -> Weights | None:
    """Return the weights of a convolution or product, None if that is of two tensors.

    Raises
    ------
    Unsupported
        If they are not finite, or in a form that is not followed.
    """
    if "weights" not in context.cache:
        weights = _WEIGHTS[context.node.op](context)
        finite = weights is None or all(np.isfinite(part).all() for part in weights[:2])
        if not finite:
            raise Unsupported("has weights that are not finite")
        context.cache["weights"] = weights
    return cast(Weights | None, context.cache["weights"])


def _float(array: Array) -> Floats:
    """Return floats that hold a constant exactly.

    Raises
    ------
    Unsupported
        If there are none.
    """
    floats = array.astype(np.float64)
    wide = is_integer(array.dtype) and array.dtype.itemsize == 8
    if wide and bool((np.abs(floats) >= 2.0**53).any()):
        raise Unsupported("has integers beyond 2^53 for weights, which are not followed")
    return floats


def _bias(context: Context, place: int, filters: int) -> Floats:
    value = context.constant(place)
    if value is not None and value.size != filters:
        raise Unsupported(f"has {value.size} biases for {filters} filters")
    return np.zeros((filters, 1)) if value is None else _float(value).reshape(filters, 1)


def _conv(context: Context) -> Weights:
    matrix = _float(context.required(1))
    return Weights(matrix, _bias(context, 2, len(matrix)), exact=False)


def _conv_transpose(context: Context) -> Weights:
    """Lay ``[I, F / groups, kh, kw]`` out as ``[F, I / groups, kh, kw]``."""
    stored, groups = _float(context.required(1)), context.node.get("group", 1)
    if stored.ndim < 3 or len(stored) % groups:
        raise Unsupported("has filters that do not fit its groups")
    split = stored.reshape(groups, len(stored) // groups, *stored.shape[1:])
    matrix = np.swapaxes(split, 1, 2).reshape(-1, split.shape[1], *stored.shape[2:])
    return Weights(matrix, _bias(context, 2, len(matrix)), exact=False)


def _columns(filters: int, values: Sequence[Array | None]) -> Floats:
    """Stack what is one number, or one for each filter, as columns ``[F, E]``."""
    given = [_float(np.ravel(value)) for value in values if value is not None]
    if any(value.size not in (1, filters) for value in given):
        raise Unsupported(
            "has a scale or zero point that is neither one number nor one for each filter"
        )
    return np.stack([np.broadcast_to(value, filters) for value in given], axis=1)


def _scalars(context: Context, places: Sequence[int]) -> None:
    if any(value is not None and value.size != 1 for value in map(context.constant, places)):
        raise Unsupported("has a scale or zero point for each channel of its input or output")


def _shifted(matrix: Floats, zero: Array | None) -> Floats:
    """Subtract the zero point, one or one for each of the filters, which come first."""
    if zero is None:
        return matrix
    return matrix - _float(zero).reshape(-1, *[1] * (matrix.ndim - 1))


def _conv_integer(context: Context) -> Weights:
    _scalars(context, [2])
    matrix = _shifted(_float(context.required(1)), context.constant(3))
    return Weights(matrix, np.zeros((len(matrix), 1)), exact=True)


def _qlinear_conv(context: Context) -> Weights:
    _scalars(context, [1, 2, 6, 7])
    matrix = _shifted(_float(context.required(3)), context.constant(5))
    extras = _columns(len(matrix), [_bias(context, 8, len(matrix)), context.constant(4)])
    return Weights(matrix, extras, exact=True)


def _gemm(context: Context) -> Weights:
    if context.node["transA"]:
        raise Unsupported("multiplies across the images of a batch")
    matrix = _float(context.required(1))
    matrix = matrix if context.node["transB"] else matrix.T
    bias = context.constant(2)
    if bias is not None and bias.ndim == 2 and bias.shape[0] != 1:
        raise Unsupported("adds another number to each image of a batch")
    extras = _columns(len(matrix), [np.zeros(1) if bias is None else bias])
    alpha, beta = context.node.get("alpha", 1.0), context.node.get("beta", 1.0)
    if context.required(1).dtype == np.float64 and (alpha, beta) != (1, 1):
        raise Unsupported(
            "scales weights of float64, which could make two of them equal by rounding"
        )
    exact = is_integer(context.required(1).dtype)
    if exact and (alpha, beta) != (1, 1):
        raise Unsupported("scales integers by floats, which is not followed")
    return Weights(matrix * alpha, extras * beta, exact)


def _matmul(context: Context) -> Weights | None:
    if len(context.tracked) == 2:
        return None
    matrix = _float(context.required(1))
    if matrix.ndim != 2:
        raise Unsupported("multiplies by constants that are no matrix")
    exact = is_integer(context.required(1).dtype)
    return Weights(matrix.T, np.zeros((matrix.shape[1], 1)), exact)


def _matmul_integer(context: Context) -> Weights:
    _scalars(context, [2])
    matrix = _shifted(_float(_matrix(context, 1)), context.constant(3))
    return Weights(matrix, np.zeros((len(matrix), 1)), exact=True)


def _qlinear_matmul(context: Context) -> Weights:
    _scalars(context, [1, 2, 6, 7])
    matrix = _shifted(_float(_matrix(context, 3)), context.constant(5))
    extras = _columns(len(matrix), [np.zeros(1), context.required(4)])
    return Weights(matrix, extras, exact=True)


def _matrix(context: Context, place: int) -> Array:
    matrix = context.required(place)
    if matrix.ndim != 2:
        raise Unsupported("multiplies by constants that are no matrix")
    return matrix.T


_WEIGHTS: Final = {
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "ConvInteger": _conv_integer,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "MatMulInteger": _matmul_integer,
    "QLinearConv": _qlinear_conv,
    "QLinearMatMul": _qlinear_matmul,
}
