"""Where each linear operator keeps its weights, and in which layout."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import numpy as np

from audit.proof.graph import Array, Stop
from audit.proof.matching import Floats
from audit.proof.site import Site


class Weights(NamedTuple):
    """Weights of a linear node in float64, which holds every stored type exactly.

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


def read_weights(site: Site) -> Weights | None:
    """Return the weights of a convolution or product, None if that is of two tensors.

    Raises
    ------
    Stop
        If they are not finite, or in a form that is not followed.
    """
    weights = _WEIGHTS[site.node.op](site)
    if weights is None:
        return None
    if not (np.isfinite(weights.matrix).all() and np.isfinite(weights.extras).all()):
        raise Stop("has weights that are not finite")
    return weights


def _float(array: Array) -> Floats:
    return array.astype(np.float64)


def _bias(site: Site, place: int, filters: int) -> Floats:
    value = site.constant(place)
    return np.zeros((filters, 1)) if value is None else _float(value).reshape(filters, 1)


def _conv(site: Site) -> Weights:
    matrix = _float(site.required(1))
    return Weights(matrix, _bias(site, 2, len(matrix)), exact=False)


def _columns(filters: int, values: Sequence[Array | None]) -> Floats:
    """Stack what is one number, or one for each filter, as columns ``[F, E]``."""
    given = [_float(np.ravel(value)) for value in values if value is not None]
    if any(value.size not in (1, filters) for value in given):
        raise Stop("has a scale or zero point that is neither one number nor one for each filter")
    return np.stack([np.broadcast_to(value, filters) for value in given], axis=1)


def _scalars(site: Site, places: Sequence[int]) -> None:
    if any(value is not None and value.size != 1 for value in map(site.constant, places)):
        raise Stop("has a scale or zero point for each channel of its input or output")


def _shifted(matrix: Floats, zero: Array | None) -> Floats:
    """Subtract the zero point, one or one for each of the filters, which come first."""
    if zero is None:
        return matrix
    return matrix - _float(zero).reshape(-1, *[1] * (matrix.ndim - 1))


def _conv_integer(site: Site) -> Weights:
    _scalars(site, [2])
    matrix = _shifted(_float(site.required(1)), site.constant(3))
    return Weights(matrix, np.zeros((len(matrix), 1)), exact=True)


def _qlinear_conv(site: Site) -> Weights:
    _scalars(site, [1, 2, 6, 7])
    matrix = _shifted(_float(site.required(3)), site.constant(5))
    extras = _columns(len(matrix), [_bias(site, 8, len(matrix)), site.constant(4)])
    return Weights(matrix, extras, exact=True)


def _gemm(site: Site) -> Weights:
    if site.node["transA"]:
        raise Stop("multiplies across the images of a batch")
    matrix = _float(site.required(1))
    matrix = matrix if site.node["transB"] else matrix.T
    bias = site.constant(2)
    if bias is not None and bias.ndim == 2 and bias.shape[0] != 1:
        raise Stop("adds another number to each image of a batch")
    extras = _columns(len(matrix), [np.zeros(1) if bias is None else bias])
    alpha, beta = site.node.get("alpha", 1.0), site.node.get("beta", 1.0)
    if site.required(1).dtype == np.float64 and (alpha, beta) != (1, 1):
        raise Stop("scales weights of float64, which could make two of them equal by rounding")
    return Weights(matrix * alpha, extras * beta, exact=False)


def _matmul(site: Site) -> Weights | None:
    if len(site.tracked) == 2:
        return None
    matrix = _float(site.required(1))
    if matrix.ndim != 2:
        raise Stop("multiplies by constants that are no matrix")
    return Weights(matrix.T, np.zeros((matrix.shape[1], 1)), exact=False)


def _matmul_integer(site: Site) -> Weights:
    _scalars(site, [2])
    matrix = _shifted(_float(_matrix(site, 1)), site.constant(3))
    return Weights(matrix, np.zeros((len(matrix), 1)), exact=True)


def _qlinear_matmul(site: Site) -> Weights:
    _scalars(site, [1, 2, 6, 7])
    matrix = _shifted(_float(_matrix(site, 3)), site.constant(5))
    extras = _columns(len(matrix), [np.zeros(1), site.required(4)])
    return Weights(matrix, extras, exact=True)


def _matrix(site: Site, place: int) -> Array:
    matrix = site.required(place)
    if matrix.ndim != 2:
        raise Stop("multiplies by constants that are no matrix")
    return matrix.T


_WEIGHTS: Final = {
    "Conv": _conv,
    "ConvInteger": _conv_integer,
    "Gemm": _gemm,
    "MatMul": _matmul,
    "MatMulInteger": _matmul_integer,
    "QLinearConv": _qlinear_conv,
    "QLinearMatMul": _qlinear_matmul,
}
