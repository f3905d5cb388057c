"""Saying why: the first node at which a symmetry ends, and what an outcome means."""

import hashlib
from collections.abc import Iterator
from typing import Final

import numpy as np

from audit.names import readable
from audit.proof.file.graph import Graph
from audit.proof.file.node import Node
from audit.proof.findings import Propagation
from audit.proof.operators import (
    MOVES,
    activations,
    arithmetic,
    normalising,
    quantisation,
    reductions,
)
from audit.proof.operators.exactness import SAYING
from audit.proof.outcome import Obstacle, Proof
from audit.proof.values.batches import Batches, Followed
from audit.proof.values.context import Tracked
from audit.proof.values.numbering import Numbers, is_closed, is_unmoved

FILE: Final = "the file"
_POINTWISE: Final = {
    operator.name
    for family in (activations, arithmetic, quantisation)
    for operator in family.OPERATORS
}
_REDUCTIONS: Final = {operator.name for operator in reductions.OPERATORS}
_NORMALISING: Final = {operator.name for operator in normalising.OPERATORS}
_WINDOWS = "slides windows that are not mapped onto windows: see its stride and padding"


def find_obstacle(graph: Graph, found: Propagation) -> Obstacle:
    """Return the first node whose output takes values that the upright image's does not take.

    If there is none, the propagation has stopped at a node that it cannot follow, or the entries of
    an output are exchanged.

    Parameters
    ----------
    found
        With every tensor kept.
    """
    # Another tensor may be for the upright image what one is for the rotated image, also one of a
    # branch that was not reached.
    elsewhere = {_digest(t.numbers[0]) for value in found.tensors.values() for t in _parts(value)}
    stopped = len(graph.nodes) if found.obstacle is None else found.obstacle[0].index
    further = graph.nodes[stopped + 1 :] if graph.shares_weights() else ()
    ahead = {graph.kind(node) for node in further}
    for name, value in found.tensors.items():
        for tensor in _parts(value):
            if not is_closed(tensor.numbers) and _digest(tensor.numbers[1]) not in elsewhere:
                node = found.producers[name]
                if graph.kind(node) in ahead:
                    continue
                return obstacle_at(node, found.notes.get(node.index) or _reason(node, found))
    if found.obstacle is not None:
        return obstacle_at(*found.obstacle)
    for name in graph.outputs:
        reason = _fault(name, found.tensors.get(name))
        if reason is not None:
            last = found.producers.get(name)
            named = last is not None and name in found.tensors
            return (
                obstacle_at(last, reason)
                if named and last is not None
                else Obstacle(node=FILE, op="", reason=reason)
            )
    raise AssertionError("The propagation is that of an invariant file.")


def _fault(name: str, value: Followed | None) -> str | None:
    if value is None:
        return f"has the output '{name}', not followed"
    if isinstance(value, Batches) or value.batch_axis:
        return f"gives in '{name}' more or other than an answer for each image of the batch"
    if not is_unmoved(value.numbers):
        return f"gives the entries of '{name}' in another order when the image is rotated"
    return None


def _parts(value: Followed) -> tuple[Tracked, ...]:
    return value.parts if isinstance(value, Batches) else (value,)


def _digest(numbers: Numbers) -> tuple[tuple[int, ...], bytes]:
    content = np.ascontiguousarray(numbers).tobytes()
    return numbers.shape, hashlib.blake2b(content, digest_size=32).digest()


def obstacle_at(node: Node, reason: str) -> Obstacle:
    """Return where a proof ended."""
    return Obstacle(node=node.name, op=node.op, reason=reason)


def _reason(node: Node, found: Propagation) -> str:
    if node.op in _POINTWISE:
        if sum(name in found.tensors for name in node.inputs) > 1:
            return "combines entries that rotate in different ways"
        return "has constants that differ among entries which a rotation exchanges"
    if node.op in _REDUCTIONS:
        if node["kernel_shape"]:
            return _WINDOWS
        return "takes blocks of entries that are not mapped onto blocks"
    if node.op in MOVES:
        return "keeps a part of the entries that a rotation exchanges"
    if node.op in _NORMALISING:
        return "depends on the order of entries that a rotation exchanges"
    return "computes something else for a rotated image"


def explain_obstacle(obstacle: Obstacle) -> str:
    """Say in a sentence where a proof ended."""
    if not obstacle.op:
        return readable(f"The file {obstacle.reason}.")
    return f"The node '{obstacle.node}' ({obstacle.op}) {readable(obstacle.reason)}."


def explain_proof(proof: Proof, rounding: Node | None, floats: bool) -> Iterator[str]:
    """Say in sentences what was proved, and what was not.

    Parameters
    ----------
    rounding
        The first node that rounds.
    floats
        Whether the image is one of floats.
    """
    if proof.residual is None:
        yield (
            f"All outputs are the same, in real arithmetic, for an image rotated by any element of "
            f"{proof.subgroup}: parameters tie in every bit."
        )
    else:
        deviation = proof.residual.deviation
        bounds = ", ".join(f"'{n}' by at most {d:.2g}" for n, d in deviation.items())
        yield (
            f"For an image in range rotated by any element of {proof.subgroup}, real arithmetic "
            f"changes {bounds}."
        )
        yield (
            f"Parameters tie to {proof.residual.relative:.2g} of the largest one of their node, "
            f"least so in '{proof.residual.node}' ({proof.residual.op})."
        )
    if proof.subgroup != proof.group:
        yield (
            f"{proof.subgroup} is the part of {proof.group} that moves the pixel grid onto itself; "
            "of the other elements nothing is said."
        )
    yield from _bits(proof, rounding, floats)
    yield from _more_than_bits(proof)
    where = " and in that of computers" if proof.exact_bits else ""
    yield (
        "In the terms of ISO/IEC 24029-2 the method is sound and incomplete, and the property is "
        f"shown in real arithmetic{where}."
    )
    yield "This speaks of the file; what a runtime makes of it is measured by an audit."


def _bits(proof: Proof, rounding: Node | None, floats: bool) -> Iterator[str]:
    if proof.exact_bits:
        yield (
            "They are the same in every bit: nothing is rounded where the order of a sum depends "
            "on the rotation."
        )
        if floats and proof.input_range is not None:
            low, high = proof.input_range
            yield f"That holds for images whose entries are numbers from {low:g} to {high:g}."
    elif rounding is not None and proof.residual is None:
        where = f"'{rounding.name}' ({rounding.op})"
        if proof.arithmetic == "quantised":
            yield (
                f"They are the same in every bit where the runtime sums the integers between "
                f"DequantizeLinear and QuantizeLinear, first at {where}."
            )
        elif proof.arithmetic == "repeated":
            yield (
                "They are the same in every bit where the runtime gives equal bits to nodes, and "
                "to images of a batch, that do the same to the same, as the file's branches do, "
                f"first at {where}."
            )
        elif proof.disordered is None or proof.disordered.node != rounding.name:
            yield (
                f"Last bits may differ: {where} is the first to round in an order, or in a place, "
                "that rotates with the image."
            )


def _more_than_bits(proof: Proof) -> Iterator[str]:
    if proof.disordered is not None and proof.arithmetic != "quantised":
        yield (
            f"What '{proof.disordered.node}' ({proof.disordered.op}) gives "
            f"{proof.disordered.reason}, which are not excluded here."
        )
    for step in [step for step in proof.steps if step.effect == "saturating"][:1]:
        yield (
            f"'{step.node}' ({step.op}) has integers that runtimes do not compute as integers on "
            "every processor: what it gives may be far off, and depend on how the image is rotated."
        )
    steps = [step for step in proof.steps if step.effect != "saturating"]
    for step in steps[:1]:
        more = f", and at {len(steps) - 1} more" if len(steps) > 1 else ""
        where = "Elsewhere a" if proof.arithmetic in ("quantised", "repeated") else "A"
        yield f"{where} last bit {SAYING[step.effect]} at '{step.node}' ({step.op}){more}."
