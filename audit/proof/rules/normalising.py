"""Operators that see each entry together with all others along an axis."""

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from audit.proof.graph import Array, Stop
from audit.proof.numbering import Numbers
from audit.proof.rules.movement import Rule
from audit.proof.rules.pointwise import along
from audit.proof.rules.reductions import block
from audit.proof.site import Site

_COERCING = 13
"""Before this version of the operators, softmax works over its axis and all that follow it."""


def softmax(site: Site) -> list[Numbers]:
    """Softmax and its logarithm."""
    rank = site.image().numbers.ndim
    if site.node.opset < _COERCING:
        first = site.axis(site.node.get("axis", 1), rank)
        return [_normalise(site, range(first, rank), [])]
    return [_normalise(site, [site.node.get("axis", -1)], [])]


def lp_normalisation(site: Site) -> list[Numbers]:
    """Divide by the norm along an axis."""
    return [_normalise(site, [site.node.get("axis", -1)], [])]


def layer_normalisation(site: Site) -> list[Numbers]:
    """Normalise over the last axes of each image."""
    if any(site.node.outputs[1:]):
        raise Stop("gives statistics, which are not followed")
    rank = site.image().numbers.ndim
    first = site.axis(site.node.get("axis", -1), rank)
    parameters = [value for value in map(site.constant, (1, 2)) if value is not None]
    if any(value.ndim > rank - first for value in parameters):
        raise Stop("scales by more numbers than it normalises")
    return [_normalise(site, range(first, rank), parameters)]


def instance_normalisation(site: Site) -> list[Numbers]:
    """Normalise each channel of each image over its pixels."""
    parameters = [along(site, site.required(place), 1) for place in (1, 2)]
    return [_normalise(site, range(2, site.image().numbers.ndim), parameters)]


def _normalise(site: Site, axes: Sequence[int], parameters: Sequence[Array]) -> Numbers:
    """Number a function of an entry, of all entries along ``axes``, and of parameters."""
    numbers = site.image().numbers
    whole = block(site, numbers, axes, keep=True)
    arrays = [numbers, whole, *map(site.numbering.constants, parameters)]
    return site.numbering.rows(np.stack(np.broadcast_arrays(*arrays), axis=-1))


def extreme(site: Site) -> list[Numbers]:
    """Tell the place of the largest or smallest entry along an axis, whose order matters."""
    numbers = site.image().numbers
    axis = site.axis(site.node.get("axis", 0), numbers.ndim)
    places = site.numbering.rows(np.moveaxis(numbers, axis, -1))
    return [np.expand_dims(places, axis) if site.node.get("keepdims", 1) else places]


def largest(site: Site) -> list[Numbers]:
    """Sort the k largest entries along an axis; their places are those of entries in order."""
    numbers = site.image().numbers
    axis = site.axis(site.node.get("axis", -1), numbers.ndim)
    count = int(np.ravel(site.required(1))[0])
    rows = np.moveaxis(numbers, axis, -1)
    ranks = site.numbering.constants(np.arange(count))
    answers = []
    if not site.node.get("sorted", 1):
        raise Stop("leaves its entries in an order that the standard does not fix")
    for named in (site.numbering.multisets(rows), site.numbering.rows(rows)):
        spread = np.broadcast_to(named[..., None], (*named.shape, count))
        ranked = site.numbering.apply((site.node.function, "rank"), spread, ranks)
        answers.append(np.moveaxis(ranked, -1, axis))
    return answers


NORMALISING: Final[Mapping[str, Rule]] = {
    "ArgMax": extreme,
    "ArgMin": extreme,
    "InstanceNormalization": instance_normalisation,
    "LayerNormalization": layer_normalisation,
    "LogSoftmax": softmax,
    "LpNormalization": lp_normalisation,
    "Softmax": softmax,
    "TopK": largest,
}
