"""Operators that are linear maps with stored weights: convolution and matrix product."""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from audit.proof.graph import Array, Stop
from audit.proof.matching import Bank, Floats, Match, match
from audit.proof.numbering import Numbers, is_unmoved, number_rows
from audit.proof.rules.movement import Rule
from audit.proof.site import Site
from audit.proof.windows import are_symmetric, read_windows
from imaging import GridSymmetry

_LARGEST_PRODUCT = 2**25
_SYMMETRIES = [GridSymmetry(m, k) for m in (False, True) for k in range(4)]


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


def convolve(site: Site) -> list[Numbers]:
    """Convolve over a plane, with or without groups of channels."""
    weights = read_weights(site)
    numbers = site.image().numbers
    if weights is None or numbers.ndim != 4 or weights.matrix.ndim != 4:
        raise Stop("convolves in another number of dimensions than two")
    groups = site.node.get("group", 1)
    filters, inputs, *kernel = weights.matrix.shape
    channels = numbers.shape[1]
    if inputs * groups != channels or filters % groups:
        raise Stop(f"reads {inputs * groups} channels where there are {channels}")
    windows = read_windows(site.node, numbers.shape[2:], kernel)
    sides = tuple(window.count for window in windows)
    turn = site.generator
    ids = None
    if is_unmoved(numbers):
        turn, ids = GridSymmetry(False, 0), np.tile(np.arange(channels), (2, 1))
    elif (seen := read_channels(numbers, site.generator)) is not None:
        turn, ids = seen
    if ids is None:
        return [site.lose((filters, *sides), "reads an input that does not turn as an image does")]
    if not are_symmetric(windows, turn):
        note = "slides windows that are not mapped onto windows: see its stride and padding"
        return [site.lose((filters, *sides), note)]

    def bank(matrix: Floats, channels: Numbers) -> Bank:
        taps = matrix.reshape(groups, filters // groups, inputs, -1)
        extras = weights.extras.reshape(groups, filters // groups, -1)
        return Bank(taps, channels.reshape(groups, inputs), extras)

    # The turned image gives filter f what filter f', turned back, is given by the upright one.
    turned = np.ascontiguousarray(turn.inverse()(weights.matrix))
    matched = match(
        bank(weights.matrix, ids[0]),
        bank(turned, ids[1]),
        0.0 if weights.exact else site.tolerance,
    )
    _report(site, matched)
    pixels = sides[0] * sides[1]
    start = site.numbering.fresh(2 * filters * pixels)
    planes = start + matched.numbers[..., None] * pixels + np.arange(pixels)
    here, there = planes.reshape(2, filters, *sides)
    return [np.stack([here, turn(there)])]


def read_channels(
    numbers: Numbers, generator: GridSymmetry
) -> tuple[GridSymmetry, NDArray[np.int64]] | None:
    """Write the action on a tensor as a symmetry of the plane and a permutation of channels.

    Returns
    -------
    symmetry, ids
        ``ids`` int64 ``[2, C]`` numbers the planes: the turned image's plane ``c``, turned back, is
        the upright image's plane of the same number. None if there is no such symmetry.
    """
    here, turned = numbers
    square = here.shape[1] == here.shape[2]
    for symmetry in dict.fromkeys([generator, *_SYMMETRIES]):
        if symmetry.quarter_turns % 2 and not square:
            continue
        back = symmetry.inverse()(turned)
        planes = np.concatenate([here, back]).reshape(2 * len(here), -1)
        ids = number_rows(planes).reshape(2, -1)
        if np.isin(ids[1], ids[0]).all():
            return symmetry, ids
    return None


def multiply(site: Site) -> list[Numbers]:
    """Multiply by a matrix, the features of an image in its last axis."""
    weights = read_weights(site)
    if weights is None:
        return [_product(site)]
    numbers = site.image().numbers
    features, count = weights.matrix.shape[1], len(weights.matrix)
    if numbers.shape[-1] != features or numbers.ndim < 2:
        raise Stop(f"multiplies {numbers.shape[-1]} features by weights for {features}")
    if numbers.ndim > 2:
        return [_rowwise(site, weights)]

    def bank(numbers: Numbers) -> Bank:
        return Bank(weights.matrix[None, :, :, None], numbers[None], weights.extras[None])

    tolerance = 0.0 if weights.exact else site.tolerance
    matched = match(bank(numbers[0]), bank(numbers[1]), tolerance)
    _report(site, matched)
    return [site.numbering.fresh(2 * count) + matched.numbers]


def _rowwise(site: Site, weights: Weights) -> Numbers:
    """Multiply many rows of an image by one matrix, as sums of products, tied exactly or not."""
    x = site.image().numbers[..., None, :]  # [2, ..., 1, I]
    terms = _terms(site, x, site.numbering.constants(weights.matrix))
    sums = site.numbering.multisets(terms)
    extras = np.ascontiguousarray(weights.extras)
    names = site.numbering.constants(extras.view(f"V{8 * extras.shape[1]}")[:, 0])
    return site.numbering.apply((site.node.function, "+"), sums, names)


def _product(site: Site) -> Numbers:
    """Multiply two tensors that both depend on the image."""
    a, b = (site.image(place).numbers for place in (0, 1))
    if a.ndim != b.ndim or a.ndim < 3:
        raise Stop("multiplies tensors such that images of a batch could meet")
    rows, columns = a[..., :, None, :], np.swapaxes(b, -1, -2)[..., None, :, :]
    if np.broadcast(rows, columns).size > _LARGEST_PRODUCT:
        raise Stop("is a product of two tensors too large to follow")
    pairs = np.stack(np.broadcast_arrays(rows, columns), axis=-1)
    return site.numbering.multisets(site.numbering.multisets(pairs))


def _terms(site: Site, x: Numbers, constants: Numbers) -> Numbers:
    if np.broadcast(x, constants).size > _LARGEST_PRODUCT:
        raise Stop("is a product with many rows, too large to follow")
    x = np.broadcast_to(x, np.broadcast_shapes(x.shape, constants.shape))
    return site.numbering.apply((site.node.function, "*"), x, constants)


def _report(site: Site, matched: Match) -> None:
    site.mismatch = matched.mismatch
    if matched.astray is not None:
        place, distance = matched.astray
        nearest = (
            f"the nearest differs by {distance:.2g} of the largest weight"
            if np.isfinite(distance)
            else "none reads the same channels"
        )
        turn = site.generator.name
        site.note = f"has no filter equal to its filter {place} after {turn}: {nearest}"


# --- where each operator keeps its weights ----------------------------------------------------


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

LINEAR: Final[Mapping[str, Rule]] = {
    "Conv": convolve,
    "ConvInteger": convolve,
    "Gemm": multiply,
    "MatMul": multiply,
    "MatMulInteger": multiply,
    "QLinearConv": convolve,
    "QLinearMatMul": multiply,
}
