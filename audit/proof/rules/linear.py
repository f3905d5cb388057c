"""Operators that are linear maps with stored weights: convolution and matrix product."""

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

from audit.proof.graph import Stop
from audit.proof.matching import Bank, Floats, Match, match
from audit.proof.numbering import Numbers, is_unmoved, number_rows
from audit.proof.rules.movement import Rule
from audit.proof.rules.weights import Weights, read_weights
from audit.proof.site import Site
from audit.proof.tying import FilterPlaces, Ties
from audit.proof.windows import are_symmetric, read_windows
from imaging import GridSymmetry

_LARGEST_PRODUCT = 2**25
_SYMMETRIES = [GridSymmetry(m, k) for m in (False, True) for k in range(4)]


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

    shape = (groups, filters // groups, inputs, -1)

    def bank(matrix: Floats, channels: Numbers) -> Bank:
        extras = weights.extras.reshape(groups, filters // groups, -1)
        return Bank(matrix.reshape(shape), channels.reshape(groups, inputs), extras)

    # The turned image gives filter f what filter f', turned back, is given by the upright one.
    turned = np.ascontiguousarray(turn.inverse()(weights.matrix))
    matched = match(
        bank(weights.matrix, ids[0]),
        bank(turned, ids[1]),
        0.0 if weights.exact else site.tolerance,
    )
    _report(site, matched)
    if site.ties is not None:
        places = np.arange(weights.matrix.size).reshape(weights.matrix.shape)
        taps, moved = (p.reshape(shape) for p in (places, turn.inverse()(places)))
        channels_at = ids.reshape(2, groups, inputs)
        _tie(site, site.ties, FilterPlaces(taps, moved, channels_at), matched)
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
    if turned.min(initial=0) < here.min(initial=0) or turned.max(initial=0) > here.max(initial=0):
        return None
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
    if site.ties is not None:
        stored = site.required(1)
        places = np.arange(stored.size).reshape(stored.shape)
        taps = (places if site.node["transB"] else places.T)[None, :, :, None]
        _tie(site, site.ties, FilterPlaces(taps, taps, numbers[:, None]), matched)
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


def _tie(site: Site, ties: Ties, places: FilterPlaces, matched: Match) -> None:
    """Note which taps and which biases the match takes to be equal."""
    turned, kept, (there, here) = places.pairs(matched.numbers)
    ties.add(1, turned, kept)
    bias = site.given(2)
    if isinstance(bias, np.ndarray) and bias.size == matched.numbers.shape[1]:
        ties.add(2, there, here)


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


LINEAR: Final[Mapping[str, Rule]] = {
    "Conv": convolve,
    "ConvInteger": convolve,
    "Gemm": multiply,
    "MatMul": multiply,
    "MatMulInteger": multiply,
    "QLinearConv": convolve,
    "QLinearMatMul": multiply,
}
