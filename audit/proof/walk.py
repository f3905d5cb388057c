"""The walk: what every node does to the image and to the turned image, in order."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from onnx import TensorProto

from audit.proof.bounds import bound, inexact, of_dtype, rounds
from audit.proof.graph import BATCH, Array, Graph, Node, Stop
from audit.proof.numbering import Numbering, Numbers
from audit.proof.rules import RULES
from audit.proof.rules.movement import MOVEMENT, Rule
from audit.proof.rules.pointwise import POINTWISE
from audit.proof.site import Mismatch, Site, Tracked
from audit.proof.twins import Twins, adopt
from audit.proof.tying import Ties
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
    constants
        Every tensor that does not depend on the image, by name.
    ties
        Which entries of their constants nodes need to be equal, by the node's index, if asked for.
    """

    tensors: dict[str, Tracked] = field(default_factory=dict)
    producers: dict[str, Node] = field(default_factory=dict)
    mismatches: dict[int, Mismatch] = field(default_factory=dict)
    notes: dict[int, str] = field(default_factory=dict)
    rounding: list[Node] = field(default_factory=list)
    obstacle: tuple[Node, str] | None = None
    constants: dict[str, Array] = field(default_factory=dict)
    ties: dict[int, Ties] = field(default_factory=dict)


def walk(
    graph: Graph,
    generator: GridSymmetry,
    tolerance: float,
    input_range: tuple[float, float],
    *,
    bitwise: bool = False,
    tie: bool = False,
) -> Walk:
    """Follow one symmetry through a graph, to its end or to a node that cannot be followed.

    Parameters
    ----------
    bitwise
        Whether equal numbers are to mean equal bits, also where sums are rounded, if only a runtime
        gives equal bits wherever nodes do the same to the same.
    tie
        Whether to note which stored numbers are taken to be equal.
    """
    found, constants = Walk(), dict(graph.constants)
    found.constants = constants
    numbering, twins, image = Numbering(), Twins(), graph.image
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
                ties = found.ties.setdefault(node.index, Ties()) if tie else None
                site = Site(node, inputs, numbering, generator, tolerance, image.batch, ties)
                _step(site, graph, found, twins, bitwise=bitwise)
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


def _step(site: Site, graph: Graph, found: Walk, twins: Twins, *, bitwise: bool) -> None:
    node = site.node
    rule = RULES.get(node.op)
    if rule is None:
        raise Stop("is an operator that the proof does not know")
    outputs = _outputs(rule, site, twins, bitwise=bitwise)
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


def _outputs(rule: Rule, site: Site, twins: Twins, *, bitwise: bool) -> list[Numbers]:
    if site.node.op in MOVEMENT:
        return rule(site)
    known = [None, None] if site.ties is not None else twins.find(site)
    here, turned = known
    if here is not None and turned is not None:
        return [np.stack(pair) for pair in zip(here, turned, strict=True)]
    outputs = rule(site)
    if bitwise and inexact(site):
        outputs = [site.lose(numbers.shape[1:], "rounds") for numbers in outputs]
    outputs = adopt(known, outputs)
    twins.remember(site, outputs)
    return outputs


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
