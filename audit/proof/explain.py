"""Saying why: the first node at which a symmetry ends, and what an outcome means."""

from collections.abc import Iterator

import numpy as np

from audit.proof.graph import Graph, Node
from audit.proof.numbering import is_closed, is_unmoved
from audit.proof.outcome import Arithmetic, Obstacle, Residual
from audit.proof.rules.movement import MOVEMENT
from audit.proof.rules.normalising import NORMALISING
from audit.proof.rules.pointwise import POINTWISE
from audit.proof.rules.reductions import REDUCTIONS
from audit.proof.site import Tracked
from audit.proof.walk import Walk

FILE = "the file"
_WINDOWS = "slides windows that are not mapped onto windows: see its stride and padding"


def find_obstacle(graph: Graph, found: Walk) -> Obstacle:
    """Return the first node whose output takes values that the upright image's does not take.

    If there is none, the walk has stopped at a node that it cannot follow, or the entries of an
    output are exchanged.
    """
    for name, tensor in found.tensors.items():
        if not is_closed(tensor.numbers) and not _is_elsewhere(tensor, found):
            node = found.producers[name]
            return _at(node, found.notes.get(node.index) or _lost(node, found))
    if found.obstacle is not None:
        return _at(*found.obstacle)
    for name in graph.outputs:
        if name not in found.tensors:
            return Obstacle(node=FILE, op="", reason=f"has the output '{name}', not followed")
        if not is_unmoved(found.tensors[name].numbers):
            reason = f"gives the entries of '{name}' in another order when the image is turned"
            last = found.producers.get(name)
            return _at(last, reason) if last else Obstacle(node=FILE, op="", reason=reason)
    raise AssertionError("The walk is that of an invariant file.")


def _is_elsewhere(tensor: Tracked, found: Walk) -> bool:
    """Whether another tensor is for the upright image what this one is for the turned image."""
    turned = tensor.numbers[1]
    return any(
        other.shape == tensor.shape and np.array_equal(other.numbers[0], turned)
        for other in found.tensors.values()
    )


def _at(node: Node, reason: str) -> Obstacle:
    return Obstacle(node=node.name, op=node.op, reason=reason)


def _lost(node: Node, found: Walk) -> str:
    if node.op in POINTWISE:
        if sum(name in found.tensors for name in node.inputs) > 1:
            return "combines entries that turn in different ways"
        return "has constants that differ among entries which a turn exchanges"
    if node.op in REDUCTIONS:
        if node["kernel_shape"]:
            return _WINDOWS
        return "takes blocks of entries that are not mapped onto blocks"
    if node.op in MOVEMENT:
        return "keeps a part of the entries that a turn exchanges"
    if node.op in NORMALISING:
        return "depends on the order of entries that a turn exchanges"
    return "computes something else for a turned image"


def explain_obstacle(obstacle: Obstacle) -> str:
    """Say in a sentence where a proof ended."""
    if not obstacle.op:
        return f"The file {obstacle.reason}."
    return f"The node '{obstacle.node}' ({obstacle.op}) {obstacle.reason}."


def explain_proof(
    group: str,
    subgroup: str,
    residual: Residual | None,
    arithmetic: Arithmetic | None,
    rounding: Node | None,
) -> Iterator[str]:
    """Say in sentences what was proved, and what was not."""
    if residual is None:
        yield (
            f"All outputs are the same, in real arithmetic, for an image turned by any element of "
            f"{subgroup}: parameters tie in every bit."
        )
    else:
        bounds = ", ".join(f"'{n}' by at most {d:.2g}" for n, d in residual.deviation.items())
        yield (
            f"For an image in range turned by any element of {subgroup}, real arithmetic changes "
            f"{bounds}."
        )
        yield (
            f"Parameters tie to {residual.relative:.2g} of the largest one of their node, least so "
            f"in '{residual.node}' ({residual.op})."
        )
    if subgroup != group:
        yield (
            f"{subgroup} is the part of {group} that moves the pixel grid onto itself; of the "
            "other elements nothing is said."
        )
    if arithmetic == "integer":
        yield "They are the same in every bit: nothing is rounded in a turned order."
    elif rounding is not None and residual is None:
        where = f"'{rounding.name}' ({rounding.op})"
        if arithmetic == "quantised":
            yield (
                f"They are the same in every bit where the runtime sums the integers between "
                f"DequantizeLinear and QuantizeLinear, first at {where}."
            )
        elif arithmetic == "repeated":
            yield (
                "They are the same in every bit where the runtime gives equal bits to nodes that "
                f"do the same to the same, as the branches of the file do, first at {where}."
            )
        else:
            yield (
                f"Last bits may differ: {where} is the first to round in an order, or in a place, "
                "that turns with the image."
            )
    yield "This speaks of the file; what a runtime makes of it is measured by an audit."
