"""Projection onto the networks that are invariant: filters that nearly tie become ones that do.

A bank of filters is replaced by the mean over the orbit of its rotated copies, which is the nearest
bank that is equivariant. Numbers of one orbit are set to one and the same mean, so that they tie in
every bit.
"""

from dataclasses import dataclass
from typing import Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

from artifact.session import run_both_ways
from audit import RefusedError
from audit.proof import TOLERANCE, Tied, find_ties, prove
from export.onnx_import.graphs import OnnxImportError

_ORBIT: Final = 8
"""Elements of the largest group of the pixel grid: as many steps tie the numbers of an orbit."""


@dataclass(frozen=True)
class Projection:
    """A projected file, and what that moved.

    Attributes
    ----------
    moved
        How many stored numbers are others than before.
    relative
        The largest change of one, relative to the largest number of its tensor.
    tensor
        Where that is.
    """

    model: onnx.ModelProto
    moved: int
    relative: float
    tensor: str


def project(model: onnx.ModelProto, group: str, tolerance: float = TOLERANCE) -> Projection:
    """Average the weights of a model over the orbits that its proof within a bound follows.

    Raises
    ------
    OnnxImportError
        If the file is not invariant within the tolerance, or its weights do not tie exactly
        afterwards.
    """
    try:
        ties = find_ties(
            model.SerializeToString(), group, tolerance=tolerance, runtime=run_both_ways
        )
    except RefusedError as error:
        raise OnnxImportError(f"The file cannot be projected onto {group}: {error}") from error
    means = {name: _averaged(tied) for name, tied in ties.items() if tied.values.dtype.kind == "f"}
    changed = {name: mean for name, mean in means.items() if (mean != ties[name].values).any()}
    projected = _replaced(model, changed)
    proof = prove(projected.SerializeToString(), group, tolerance=0, runtime=run_both_ways)
    if proof.outcome != "PROVED":
        raise OnnxImportError(
            f"The averaged weights do not tie over {group}, and nothing is changed: "
            f"{' '.join(proof.reasons)}"
        )
    relative = {name: _distance(ties[name].values, mean) for name, mean in changed.items()}
    worst = max(relative, key=relative.__getitem__, default="")
    moved = sum(int((mean != ties[name].values).sum()) for name, mean in changed.items())
    if (largest := relative.get(worst, 0.0)) > _ORBIT * tolerance:
        raise OnnxImportError(
            f"Averaging over {group} would change a number of '{worst}' by {largest:.2g} of the "
            "largest one there, more than numbers that nearly tie differ, and nothing is changed."
        )
    return Projection(projected, moved, largest, worst)


def _averaged(tied: Tied) -> NDArray[np.floating]:
    """Set every entry to the mean of its orbit; an entry that is alone in it stays what it is."""
    orbits, values = tied.orbits.reshape(-1), tied.values.reshape(-1)
    # From the first entry on, so that a mean of equal numbers is that number in every bit.
    _, first = np.unique(orbits, return_index=True)
    base = values[first].astype(np.float64)
    differences = np.bincount(orbits, values.astype(np.float64) - base[orbits])
    means = base + differences / np.bincount(orbits)
    return means[orbits].astype(values.dtype).reshape(tied.values.shape)


def _distance(values: NDArray[np.floating], others: NDArray[np.floating]) -> float:
    a, b = values.astype(np.float64), others.astype(np.float64)
    return float(np.abs(a - b).max() / np.abs(a).max())


def _replaced(model: onnx.ModelProto, values: dict[str, NDArray[np.floating]]) -> onnx.ModelProto:
    """Store other values for constants, also for those that nodes compute from stored ones."""
    replaced = onnx.ModelProto()
    replaced.CopyFrom(model)
    graph = replaced.graph
    nodes = [node for node in graph.node if not values.keys() & set(node.output)]
    kept = [tensor for tensor in graph.initializer if tensor.name not in values]
    del graph.node[:], graph.initializer[:]
    graph.node.extend(nodes)
    graph.initializer.extend(kept)
    graph.initializer.extend(numpy_helper.from_array(v, name) for name, v in values.items())
    return replaced
