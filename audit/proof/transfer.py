"""The transfer function: what one node does to the image and to the rotated image."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from audit.proof.file.graph import Graph
from audit.proof.file.node import Node, Unsupported
from audit.proof.findings import Propagation, PropagationOptions
from audit.proof.limits import Budget
from audit.proof.operators import MOVES, OPERATORS
from audit.proof.operators.exactness import (
    hides_nan,
    is_inexact,
    is_loose,
    mixes_zeros,
    reads_zeros,
    response,
    rounds,
    rounds_alike,
    saturates,
)
from audit.proof.operators.ranges import UNKNOWN, bound
from audit.proof.operators.record import Operator
from audit.proof.runtime.quantised import swaps_terms
from audit.proof.runtime.scaled_axes import ScaledAxes
from audit.proof.runtime.unread import number_unread
from audit.proof.values.congruence import Congruence, Half, adopt
from audit.proof.values.context import Bound, Context, Input, Tracked
from audit.proof.values.numbering import Numbering, Numbers
from audit.proof.values.ties import Ties

_LARGEST: Final = 2**28
_MAY_VANISH: Final = MOVES | {"Add", "Cast", "Div", "Mul", "Sub"}
"""What moves entries, or leaves them as they are by some constants: a runtime may take it away."""


def operator_of(node: Node) -> Operator:
    """Return what is known of a node's operator.

    Raises
    ------
    Unsupported
        If it is none that the proof knows, or another version of it.
    """
    operator = OPERATORS.get(node.op)
    if operator is None:
        raise Unsupported("is an operator that the proof does not know")
    if node.version not in operator.versions:
        raise Unsupported(
            f"is version {node.version} of its operator, of which the proof has read "
            f"{', '.join(map(str, operator.versions))}"
        )
    return operator


class Transfer:
    """Follows nodes that read the image's data, each over inputs of one batch.

    Parameters
    ----------
    found
        Takes what the last bits of nodes depend on, and what does not tie.
    """

    def __init__(
        self,
        graph: Graph,
        options: PropagationOptions,
        budget: Budget,
        numbering: Numbering,
        scaled: ScaledAxes,
        found: Propagation,
    ) -> None:
        self._graph, self._options, self._budget = graph, options, budget
        self._numbering, self._scaled, self._found = numbering, scaled, found
        self._congruence = Congruence(graph, budget, bitwise=options.bitwise)
        self._given = _given(graph)
        self._quantises = any(node.op == "QuantizeLinear" for node in graph.nodes)

    def __call__(self, node: Node, inputs: Sequence[Input], copies: int) -> list[Tracked]:
        """Return what a node gives, whose data are one of so many parts of a batch.

        Raises
        ------
        Unsupported
            If the node cannot be followed.
        """
        operator, options = operator_of(node), self._options
        context = Context(
            node,
            inputs,
            self._graph.dtypes.get(node.outputs[0]),
            self._numbering,
            self._budget,
            options.generator,
            options.tolerance,
            self._graph.image.batch,
            self._found.ties.setdefault(node.index, Ties()) if options.tie else None,
            options.explaining,
            copies,
        )
        self._numbering.node = node.index
        if not operator.any_axis:
            context.batch_first()
        outputs = self._numbers(operator, context)
        known = self._bits(operator, context, _range(operator, context), outputs)
        if context.mismatch is not None:
            self._found.mismatches[node.index] = context.mismatch
        if context.note is not None:
            self._found.notes[node.index] = context.note
        return [
            Tracked(
                _checked(numbers),
                self._graph.dtypes.get(name),
                known,
                context.batch_axis,
                context.terms,
            )
            for name, numbers in zip(node.outputs, outputs, strict=False)
        ]

    @property
    def shared(self) -> set[tuple[int, int]]:
        """Pairs of nodes, by their indices, that do the same to the same numbers."""
        return self._numbering.shared | self._congruence.shared

    def leave(self, node: Node) -> None:
        """Let go of what no node behind this one reads."""
        self._congruence.leave(node)

    def _bits(
        self, operator: Operator, context: Context, known: Bound, outputs: Sequence[Numbers]
    ) -> Bound:
        """Note what the last bits of a node depend on; return the bound with what that says."""
        node, found = context.node, self._found
        bounds = [value.bound for value in context.tracked]
        floats = operator.floats if isinstance(operator.floats, str) else ""
        reads = reads_zeros(operator, context)
        unread = context.unread and not context.unmoved
        rounded = reads or unread or rounds(operator, context)
        if rounded:
            found.rounding.append(node)
            if reads or floats in ("bounded", "ordered"):
                found.disordered.append(node)
        if hides_nan(operator, context):
            found.disordered.append(node)
        steps = self._steps(context, outputs)
        if steps and not context.unmoved:
            rounded = True
            found.rounding.append(node)
        either = mixes_zeros(operator, context) or any(each.either_zero for each in bounds)
        either &= known.signed_zero
        if either and any(name in self._graph.outputs for name in node.outputs):
            found.rounding.append(node)
            found.disordered.append(node)
        reads_rounded = any(each.rounded for each in bounds)
        tainted = rounded or reads_rounded
        if not context.unmoved and saturates(operator, context):
            found.sensitive.append((node, "saturating"))
        elif steps and tainted:
            found.sensitive.append((node, "step"))
        elif reads_rounded and (answer := response(operator, context)) != "smooth":
            found.sensitive.append((node, answer))
        loose = is_loose(operator, context)
        return replace(known, rounded=tainted, either_zero=either, loose=loose)

    def _numbers(self, operator: Operator, context: Context) -> list[Numbers]:
        if operator.rule is None:
            raise Unsupported("computes with the image what is followed for constants alone")
        if operator.name in MOVES:
            return operator.rule(context)
        known: list[Half | None] = [None, None]
        given = not self._given.isdisjoint(context.node.inputs)
        alone = self._options.bitwise and not rounds_alike(operator, context, given=given)
        alone = alone and is_inexact(operator, context, finite=True)
        if context.ties is None and not alone:
            known = self._congruence.find(context)
        here, rotated = known
        if here is not None and rotated is not None:
            context.batch_axis = here.batch_axis
            context.reordered = here.reordered or rotated.reordered
            context.unread = here.unread or rotated.unread
            pairs = zip(here.outputs, rotated.outputs, strict=True)
            return [np.stack(pair) for pair in pairs]
        try:
            outputs = operator.rule(context)
        except Unsupported as why:
            outputs = [number_unread(operator, context, self._options.runtime, str(why))]
        inexact = is_inexact(operator, context, finite=True)
        if self._options.bitwise and (inexact or self._steps(context, outputs)):
            outputs = [context.opaque(numbers.shape[1:], "rounds") for numbers in outputs]
            context.terms = None
        outputs = adopt(known, outputs)
        context.reordered |= any(half is not None and half.reordered for half in known)
        context.unread |= any(half is not None and half.unread for half in known)
        if not alone:
            self._congruence.remember(context, outputs)
        return outputs

    def _steps(self, context: Context, outputs: Sequence[Numbers]) -> bool:
        """Whether onnxruntime computes a node from integers that it rounds by the rotation."""
        swaps = self._quantises and swaps_terms(context, outputs)
        return swaps or self._scaled.quantises_data(context.node)


def _given(graph: Graph) -> set[str]:
    """Name the tensors that may lie where the caller's image does."""
    image = graph.image
    names = {image.name}
    for node in graph.nodes:
        same = graph.dtypes.get(node.outputs[0]) in (image.dtype, None)
        if node.op in _MAY_VANISH and same and not names.isdisjoint(node.inputs):
            names.update(node.outputs)
    return names


def _range(operator: Operator, context: Context) -> Bound:
    """Return the bound of what a node gives; nothing holds of what is not as the file says."""
    known = bound(operator, context)
    if context.unread or saturates(operator, context):
        deviates = known.deviation or any(each.bound.deviation for each in context.tracked)
        return replace(UNKNOWN, deviation=UNKNOWN.deviation if deviates else 0.0)
    return known


def _checked(numbers: Numbers) -> Numbers:
    if numbers.shape[0] != 2:
        raise Unsupported("changes the number of images in a batch")
    if numbers.size > _LARGEST:
        raise Unsupported("gives a tensor that is too large to follow")
    return numbers
