"""The walk: what every node does to the image and to the turned image, in order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from onnx import TensorProto

from audit.proof.bounds import bound, of_dtype, rounds
from audit.proof.graph import BATCH, Array, Graph, Node, Stop
from audit.proof.numbering import Numbering, Numbers
from audit.proof.rules import RULES
from audit.proof.rules.movement import MOVEMENT
from audit.proof.rules.pointwise import POINTWISE
from audit.proof.site import Mismatch, Site, Tracked
from imaging import GridSymmetry

_FOLDED: Final = {
    *(op for op in MOVEMENT if op != "Dropout"),
    *POINTWISE,
    *("Constant", "ConstantOfShape", "EyeLike", "Range", "ReduceMax", "ReduceMin", "Shape", "Size"),
} - {"BatchNormalization"}
"""Operators that may compute constants: none of them is random or sums in an order of its own."""

_LARGEST: Final = 2**28
_INT64: Final = TensorProto.INT64
_SHAPES: Final = {"Cast", "Concat", "Gather", "Identity", "Slice", "Squeeze", "Unsqueeze"}
"""Those that may handle N itself, which stands in a shape as a placeholder."""


@dataclass
class Walk:
    """What a walk has found.

    Attributes
    ----------
    tensors
        Every tensor that depends on the image, by name, in the order of the graph.
    producers
        The node that computes a tensor.
    mismatches
        Of nodes whose parameters tie only nearly.
    notes
        Of nodes at which the symmetry may end.
    rounding
        Nodes whose last bits may depend on how the image is turned.
    obstacle
        The node at which the walk stopped, and why.
    """

    tensors: dict[str, Tracked] = field(default_factory=dict)
    producers: dict[str, Node] = field(default_factory=dict)
    mismatches: dict[int, Mismatch] = field(default_factory=dict)
    notes: dict[int, str] = field(default_factory=dict)
    rounding: list[Node] = field(default_factory=list)
    obstacle: tuple[Node, str] | None = None


def walk(
    graph: Graph, generator: GridSymmetry, tolerance: float, input_range: tuple[float, float]
) -> Walk:
    """Follow one symmetry through a graph, to its end or to a node that cannot be followed."""
    found, constants = Walk(), dict(graph.constants)
    numbering, image = Numbering(), graph.image
    here = numbering.fresh(int(np.prod(image.shape))) + np.arange(np.prod(image.shape))
    here = here.reshape(image.shape)
    numbers = np.stack([here, generator(here)])
    found.tensors[image.name] = Tracked(numbers, image.dtype, of_dtype(image.dtype, *input_range))
    for node in graph.nodes:
        try:
            inputs = list(_inputs(node, found.tensors, constants))
            if node.op == "Shape" and isinstance(inputs[0], Tracked):
                constants[node.outputs[0]] = _shape(node, inputs[0], image.batch)
            elif any(isinstance(value, Tracked) for value in inputs):
                site = Site(node, inputs, numbering, generator, tolerance, image.batch)
                _step(site, graph, found)
            else:
                constants.update(zip(node.outputs, _fold(node, inputs), strict=False))
                found.producers.update(dict.fromkeys(node.outputs, node))
        except Stop as stop:
            found.obstacle = node, str(stop)
            break
        except Exception:  # whatever a malformed node provokes, in numpy or in the reference
            found.obstacle = node, "has inputs or attributes that do not fit together"
            break
    return found


def _inputs(
    node: Node, tensors: Mapping[str, Tracked], constants: Mapping[str, Array]
) -> Iterator[Tracked | Array | None]:
    for name in node.inputs:
        if name and name not in tensors and name not in constants:
            raise Stop(f"reads '{name}', which is not followed")
        yield (tensors[name] if name in tensors else constants[name]) if name else None


def _step(site: Site, graph: Graph, found: Walk) -> None:
    node = site.node
    rule = RULES.get(node.op)
    if rule is None:
        raise Stop("is an operator that the proof does not know")
    outputs = rule(site)
    known = bound(site)
    for name, numbers in zip(node.outputs, outputs, strict=False):
        if name:
            found.tensors[name] = Tracked(_checked(numbers), graph.dtypes.get(name), known)
            found.producers[name] = node
    if site.mismatch is not None:
        found.mismatches[node.index] = site.mismatch
    if site.note is not None:
        found.notes[node.index] = site.note
    if rounds(site):
        found.rounding.append(node)


def _checked(numbers: Numbers) -> Numbers:
    if numbers.shape[0] != 2:
        raise Stop("changes the number of images in a batch")
    if numbers.size > _LARGEST:
        raise Stop("gives a tensor that is too large to follow")
    return numbers


def _shape(node: Node, value: Tracked, batch: int | None) -> Array:
    sides = np.array([BATCH if batch is None else batch, *value.shape], np.int64)
    return sides[slice(node.get("start", 0), node.get("end", len(sides)))]


def _fold(node: Node, inputs: Sequence[Tracked | Array | None]) -> list[Array]:
    arrays = [value for value in inputs if not isinstance(value, Tracked)]
    if node.op not in _FOLDED:
        raise Stop("computes constants in a way that is not followed")
    placeholder = any(
        value is not None and value.dtype == np.int64 and bool((value == BATCH).any())
        for value in arrays
    )
    if placeholder and (node.op not in _SHAPES or node.get("to", _INT64) != _INT64):
        raise Stop("computes with the number of images in a batch")
    return node.evaluate(arrays)
