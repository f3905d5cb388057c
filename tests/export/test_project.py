"""Projection: networks of escnn tie to 1e-7, and in every bit afterwards."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from audit.proof import find_ties, prove
from export.onnx_import.graphs import OnnxImportError
from export.onnx_import.project import project

DATA = Path("tests/audit/data")
GROUPS = {"c4": "C4", "d4": "D4", "c8": "C8"}


def escnn(name: str) -> onnx.ModelProto:
    return onnx.load(DATA / f"escnn-{name}.onnx")


def stored(model: onnx.ModelProto) -> dict[str, np.ndarray]:
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


def convolution(model: onnx.ModelProto) -> onnx.TensorProto:
    """The kernels of a group convolution."""
    return next(t for t in model.graph.initializer if len(t.dims) == 4 and t.dims[1] > 1)


@pytest.mark.parametrize("name", GROUPS)
def test_what_ties_nearly_ties_in_every_bit(name: str) -> None:
    model, group = escnn(name), GROUPS[name]
    assert prove(model.SerializeToString(), group).outcome == "PROVED WITHIN"
    projection = project(model, group)
    assert prove(projection.model.SerializeToString(), group, tolerance=0).outcome == "PROVED"
    before, after = stored(model), stored(projection.model)
    moves = {
        key: float(np.abs(value.astype(float) - after[key]).max() / np.abs(value).max())
        for key, value in before.items()
        if value.any()
    }
    assert projection.relative == max(moves.values()) == moves[projection.tensor]
    assert 0 < projection.relative < 1e-6
    changes = [int((value != after[key]).sum()) for key, value in before.items()]
    assert projection.moved == sum(changes)


@pytest.mark.parametrize("name", GROUPS)
def test_numbers_become_the_mean_of_their_orbit(name: str) -> None:
    """And those that tie already stay what they are: projecting again moves nothing."""
    model, group = escnn(name), GROUPS[name]
    projected = project(model, group).model
    ties, after = find_ties(model.SerializeToString(), group), stored(projected)
    for key, tied in ties.items():
        for orbit in np.unique(tied.orbits)[:50]:
            chosen = tied.orbits == orbit
            assert len(set(after[key][chosen].tolist())) == 1
            mean = tied.values[chosen].astype(np.float64).mean()
            assert abs(after[key][chosen][0] - mean) <= np.spacing(np.abs(np.float32(mean)))
    again = project(projected, group)
    assert (again.moved, again.relative) == (0, 0.0)


def test_orbits_are_those_of_the_group() -> None:
    """A filter of a regular field has four copies, of a bias as many as the field has channels."""
    ties = find_ties(escnn("c4").SerializeToString(), "C4")
    sizes = {
        key: np.unique(np.unique(tied.orbits, return_counts=True)[1]).tolist()
        for key, tied in ties.items()
        if tied.values.ndim == 4
    }
    assert all(set(found) <= {1, 2, 4} and 4 in found for found in sizes.values()), sizes


@pytest.mark.slow
def test_networks_that_lack_the_symmetry_are_refused() -> None:
    with pytest.raises(OnnxImportError, match=r"onto D4: The node .* has no filter equal"):
        project(escnn("c4"), "D4")
    model = onnx.load("model_repository/rotmnist-cnn/1/model.onnx")
    with pytest.raises(OnnxImportError, match="cannot be projected onto C4"):
        project(model, "C4")


def test_a_weight_that_is_wrong_is_not_averaged_away() -> None:
    model = escnn("c4")
    kernel = convolution(model)
    values = numpy_helper.to_array(kernel).copy()
    values[3, 1, 0, 0] += np.float32(0.01 * np.abs(values).max())
    kernel.CopyFrom(numpy_helper.from_array(values, kernel.name))
    with pytest.raises(OnnxImportError, match="has no filter equal"):
        project(model, "C4")


def test_shared_and_computed_constants_are_projected_as_well() -> None:
    """A kernel that a node computes from a stored one is stored itself afterwards."""
    model = escnn("c4")
    kernel = convolution(model)
    values, name = numpy_helper.to_array(kernel), kernel.name
    kernel.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values.T), "transposed"))
    node = onnx.helper.make_node("Transpose", ["transposed"], [name], perm=[3, 2, 1, 0])
    nodes = [node, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    projected = project(model, "C4").model
    assert name in stored(projected)
    assert not any(name in node.output for node in projected.graph.node)
    assert np.array_equal(stored(projected)[name], stored(project(escnn("c4"), "C4").model)[name])


def test_constants_are_computed_by_the_runtime_too(doubtful: Callable[[bytes], bytes]) -> None:
    file = doubtful(escnn("c4").SerializeToString())
    assert prove(file, "C4").outcome == "NOT PROVED"  # without a runtime
    assert project(onnx.load_from_string(file), "C4").moved
