"""Which stored numbers of a file ought to be equal, as far as its symmetry goes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from artifact.onnx_file import read_onnx
from audit.proof.explain import explain_obstacle, find_obstacle
from audit.proof.file.graph import Graph, read_graph
from audit.proof.file.node import Array, Unsupported
from audit.proof.findings import Propagation, PropagationOptions
from audit.proof.limits import DEFAULT_LIMITS, Limits
from audit.proof.proof import TOLERANCE, generators, is_invariant
from audit.proof.propagation import propagate
from audit.proof.runtime.folding import Runtime
from audit.proof.values.ties import Places
from imaging.refusal import RefusedError


@dataclass(frozen=True, eq=False)
class Tied:
    """A constant of a file, and its entries' orbits under the group.

    Attributes
    ----------
    values
        Of the constant.
    orbits : int64, of the same shape
        Entries that turn into one another, as the proof followed them, share an index.
    """

    values: Array
    orbits: NDArray[np.int64]


def find_ties(
    model: bytes,
    group: str,
    *,
    tolerance: float = TOLERANCE,
    runtime: Runtime | None = None,
    limits: Limits = DEFAULT_LIMITS,
) -> dict[str, Tied]:
    """Return the constants of which entries ought to be equal, by the name of the tensor.

    Parameters
    ----------
    model
        The file.
    group
        As for `prove`.
    tolerance
        Largest relative difference of parameters that are taken to be meant as equal.
    runtime, limits
        As for `prove`.

    Raises
    ------
    ValueError
        If the file is not invariant within the tolerance, in one sentence that says where.
    """
    try:
        graph = read_graph(read_onnx(model))
    except Unsupported as reason:
        raise RefusedError(f"The file {reason}.") from reason
    budget, propagations = limits.begin(), []
    for generator in generators(group):
        options = PropagationOptions(generator, tolerance, (0.0, 1.0), runtime, tie=True)
        found = propagate(graph, options, budget)
        if not is_invariant(graph, found):
            found = propagate(graph, replace(options, explaining=True), budget)
            raise RefusedError(explain_obstacle(find_obstacle(graph, found)))
        propagations.append(found)
    pairs: dict[str, list[Places]] = {}
    for name, places in _pairs(graph, propagations):
        pairs.setdefault(name, []).append(places)
    constants: Mapping[str, Array] = {
        name: value
        for name, value in propagations[0].constants.items()
        if isinstance(value, np.ndarray)
    }
    return {name: _orbits(constants[name], np.hstack(pairs[name])) for name in pairs}


def _pairs(graph: Graph, propagations: list[Propagation]) -> Iterator[tuple[str, Places]]:
    for found in propagations:
        for index, ties in found.ties.items():
            for place, pairs in ties.pairs.items():
                yield from ((graph.nodes[index].inputs[place], some) for some in pairs)


def _orbits(values: Array, pairs: Places) -> Tied:
    # Of use where other exporters' files are imported; to import it takes a tenth of a second.
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    ends = (np.ones(pairs.shape[1], bool), (pairs[0], pairs[1]))
    graph = coo_array(ends, shape=(values.size, values.size))
    _, orbits = connected_components(graph, directed=False)
    return Tied(values, orbits.astype(np.int64).reshape(values.shape))
