"""Nodes that onnxruntime writes as one, or moves, and that then compute another thing.

Each was seen to do so in onnxruntime 1.31.1. A file in which some branches are written otherwise,
and others not, need not be invariant whatever it says.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from audit.proof.file.graph import Graph
from audit.proof.file.node import Array, Node, Unsupported
from audit.proof.file.types import is_integer
from audit.proof.operators import MOVES
from audit.proof.runtime.attention import Attention
from audit.proof.runtime.quantised import have_one_unit
from audit.proof.values.batches import Batches, Value
from audit.proof.values.context import Tracked
from audit.proof.values.sizes import Sizes, as_sides

Constants = Mapping[str, Array | Sizes]

_KEEPING: Final = {"Cast", "Dropout", "Expand", "Identity"}
_NEUTRAL: Final = {"Add": 0.0, "Sub": 0.0, "Mul": 1.0, "Div": 1.0}
"""Those that onnxruntime may take away from between two nodes, some only beside this number."""

_NOWHERE: Final = -1


class Fusions:
    """Refuses what onnxruntime fuses wrongly.

    Parameters
    ----------
    constants
        Every tensor that does not depend on the image, by name, as far as it is known already.
    """

    def __init__(self, graph: Graph, constants: Constants) -> None:
        self._makers = {name: node for node in graph.nodes for name in node.outputs if name}
        self._constants, self._dtypes = constants, graph.dtypes
        self._stored = graph.constants.keys() - graph.replaceable
        self._stored |= {name for name, node in self._makers.items() if node.op == "Constant"}
        self._padded: set[str] = set()
        self._raised: set[str] = set()
        self._columns: dict[str, int] = {}
        self._attention = Attention(self._maker, constants)

    def refuse_misread(self, node: Node, inputs: Sequence[Value]) -> None:
        """Refuse a node that would be misread.

        Raises
        ------
        Unsupported
            Saying how.
        """
        kept = node.inputs[0] if node.op in MOVES else self.kept(node)
        for names in (self._padded, self._raised):
            if kept in names:
                names.update(node.outputs)
        self._attention.follow_tokens(node, inputs, kept)
        if node.op == "Mul":
            self._refuse_inverses(node)
            self._refuse_two_scales(node)
        match node.op:
            case "LayerNormalization":
                _refuse_scale_of_fewer_axes(node, inputs)
            case "Div" | "Mul" | "Sqrt":
                self._refuse_other_deviation(node)
            case "Pad":
                self._see_padding(node, inputs)
            case "AveragePool" | "MaxPool" if self._leaves_out_windows(node):
                raise Unsupported(
                    "rounds up the number of windows over what is padded, and onnxruntime leaves "
                    "out those that begin in the padding"
                )
            case "MaxPool" if node.inputs[0] in self._raised:
                raise Unsupported(
                    "takes maxima of what is padded by more than its least entry, and onnxruntime "
                    "pads by nothing there"
                )
            case "Conv" | "ConvTranspose" | "Gemm":
                self._refuse_bias(node)
            case "Split":
                self._attention.refuse_windows(node, inputs)
            case "Sub":
                self._attention.see(node, inputs)
            case "MatMul":
                self._attention.refuse_other_mask(node)
                self._follow_columns(node, inputs)
            case "Reshape" | "Transpose":
                self._follow_columns(node, inputs)
            case "BatchNormalization" if self._columns.get(self._seen_through(node), 1) != 1:
                raise Unsupported(
                    "normalises rows of a product, and onnxruntime takes them for its columns"
                )

    def refuse_backward_range(self, node: Node) -> None:
        """Refuse a Gather of a range that begins or ends below 0.

        onnxruntime writes it as a Slice, to which such numbers count from the end.

        Raises
        ------
        Unsupported
            If a node is one.
        """
        if node.op != "Gather" or (counted := self._maker(node.inputs[1], "Range")) is None:
            return
        if any(number < 0 for name in counted.inputs[:2] for number in self._numbers(name)):
            raise Unsupported(
                "picks entries by a range that begins or ends below 0, and onnxruntime counts "
                "such places from the end"
            )

    def _follow_columns(self, node: Node, inputs: Sequence[Value]) -> None:
        """Note along which axis of a tensor the columns of a product of matrices are.

        onnxruntime scales them in place of the channels of a BatchNormalization that comes after.
        """
        data = inputs[0].parts[0] if isinstance(inputs[0], Batches) else inputs[0]
        before = self._columns.get(self._seen_through(node))
        if node.op == "MatMul" and isinstance(data, Tracked) and data.rank == 2:
            self._columns[node.outputs[0]] = 1
        elif node.op == "Transpose" and before is not None:
            order = node.get("perm", None) or [*range(getattr(data, "rank", 0))][::-1]
            self._columns[node.outputs[0]] = order.index(before) if before in order else _NOWHERE
        elif node.op == "Reshape" and before is not None and isinstance(data, Tracked):
            target = as_sides(inputs[1]) if isinstance(inputs[1], (np.ndarray, Sizes)) else []
            kept = before == data.rank - 1 and target and target[-1] == data.sides[-1]
            self._columns[node.outputs[0]] = len(target) - 1 if kept else _NOWHERE

    def _seen_through(self, node: Node) -> str:
        """Return the tensor that a node reads once others are taken away."""
        name = node.inputs[0]
        while (maker := self._makers.get(name)) is not None:
            kept = maker.inputs[0] if maker.op == "Slice" else self.kept(maker)
            if kept is None:
                break
            name = kept
        return name

    def _refuse_other_deviation(self, node: Node) -> None:
        """Refuse the root of a mean that onnxruntime would take for a standard deviation."""
        if node.op == "Sqrt":
            self._squares(node)
        for above, below in self._quotients(node):
            self._refuse_other_quotient(above, below)

    def _quotients(self, node: Node) -> Iterator[tuple[str, str]]:
        """Yield what is divided by what: a product with an inverse becomes a quotient too."""
        if node.op == "Div":
            above, below = node.inputs
            yield above, below
        for above, inverse in self._inverses(node):
            yield above, inverse.inputs[1]

    def _inverses(self, node: Node) -> Iterator[tuple[str, Node]]:
        """Yield what a Mul multiplies by an inverse, and the node that computes the inverse."""
        pairs = (node.inputs, node.inputs[::-1]) if node.op == "Mul" else ()
        for other, factor in pairs:
            inverse = self._maker(factor, "Div")
            if inverse is not None and {*self._numbers(inverse.inputs[0])} == {1.0}:
                yield other, inverse

    def _refuse_inverses(self, node: Node) -> None:
        """Refuse a product with inverses that are rounded to integers, or equal by rounding.

        1 / 2 is 0, and what is divided by 2 is not.
        """
        for _, inverse in self._inverses(node):
            divisors = {*self._numbers(inverse.inputs[1])}
            dtype = self._dtypes.get(inverse.outputs[0])
            if divisors != {1.0} and (dtype is None or is_integer(dtype)):
                raise Unsupported(
                    "multiplies by inverses of integers, and onnxruntime divides by the integers"
                )
            if len({*self._numbers(inverse.outputs[0])}) < len(divisors):
                raise Unsupported(
                    "multiplies by inverses that are equal by rounding alone, and onnxruntime "
                    "divides by the numbers themselves"
                )

    def _refuse_two_scales(self, node: Node) -> None:
        """Refuse a product of integers that is multiplied by two scales, of which one is computed.

        onnxruntime writes it as one node, for which scales are those of columns, and which
        multiplies what is added to the product by the second scale as well.
        """
        for one, other in (node.inputs, node.inputs[::-1]):
            scales = self._maker(other, "Mul")
            if scales is None or self._maker(one, "MatMulInteger") is None:
                continue
            if not self._stored.issuperset(scales.inputs):
                raise Unsupported(
                    "multiplies a product of integers by two scales, which onnxruntime takes for "
                    "scales of its columns, and multiplies a bias by"
                )

    def _leaves_out_windows(self, node: Node) -> bool:
        return bool(node.get("ceil_mode", 0)) and node.inputs[0] in self._padded

    def _refuse_other_quotient(self, above: str, below: str) -> None:
        root = self._maker(above, "Sqrt")
        if root is not None and self._squares(root) and self._maker(below, "Sub"):
            raise Unsupported("divides a standard deviation by something, and not the reverse")
        root, less = self._maker(below, "Sqrt"), self._maker(above, "Sub")
        if root is None or less is None or not self._squares(root):
            return
        if self._maker(less.inputs[0], "ReduceMean"):
            raise Unsupported(
                "divides a mean less what it is of, and onnxruntime does so with the opposite"
            )

    def _squares(self, root: Node) -> bool:
        """Whether a root is that of a number and a mean of squares, as a standard deviation."""
        added = self._maker(root.inputs[0], "Add")
        means = added and [m for n in added.inputs if (m := self._maker(n, "ReduceMean"))]
        if not added or not means:
            return False
        if sum(name not in self._constants for name in added.inputs) > 1:
            raise Unsupported(
                "takes the root of a mean and of what depends on the image, which onnxruntime "
                "passes over"
            )
        power = self._maker(means[0].inputs[0], "Pow")
        if power is not None and {*self._numbers(power.inputs[1])} != {2.0}:
            raise Unsupported("takes the root of a mean of other powers than squares")
        summands = [number for name in added.inputs for number in self._numbers(name)]
        if len({*summands}) > 1:
            raise Unsupported("takes the root of a mean and of several numbers, one for each entry")
        return power is not None

    def _see_padding(self, node: Node, inputs: Sequence[Value]) -> None:
        data = inputs[0]
        parts = data.parts if isinstance(data, Batches) else (data,)
        tracked = [part for part in parts if isinstance(part, Tracked)]
        if not tracked:
            return
        self._padded.update(node.outputs)
        axes = [int(axis) % tracked[0].rank for axis in self._numbers(*node.inputs[3:4])]
        if len(axes) == tracked[0].rank and axes != sorted(axes):
            raise Unsupported(
                "pads all axes in another order than theirs, which onnxruntime passes over where "
                "it moves a Transpose"
            )
        if node.get("mode", "constant") != "constant":
            return
        given = [*self._numbers(*node.inputs[2:3])] or [node.get("value", 0.0)]
        if any(part.bound.low < float(given[0]) for part in tracked):
            self._raised.update(node.outputs)

    def _refuse_bias(self, node: Node) -> None:
        """Refuse a bias beside quantised weights that onnxruntime would make another bias of."""
        sources = [self._maker(name, "DequantizeLinear") for name in node.inputs]
        if len(sources) < 3 or sources[0] is None or sources[1] is None:
            return
        x, weights = ([*self._numbers(source.inputs[1])] for source in sources[:2] if source)
        if sources[2] is None:
            self._refuse_rounded(node, np.array(weights))
        elif node.op == "Gemm" and self._is_shifted(sources[2], np.outer(x, weights).reshape(-1)):
            raise Unsupported(
                "has a bias of integers in another unit than its products, which onnxruntime adds "
                "to them all the same"
            )

    def _is_shifted(self, source: Node, units: Array) -> bool:
        """Whether the integers of a bias do not count products of these units."""
        bias, unit = self._constants.get(source.inputs[0]), [*self._numbers(source.inputs[1])]
        if not isinstance(bias, np.ndarray) or bias.dtype.name != "int32":
            return False
        fits = len(unit) in (1, len(units)) and np.isclose(unit, units, rtol=1e-5, atol=0).all()
        return not fits or any(self._numbers(*source.inputs[2:3]))

    def _refuse_rounded(self, node: Node, units: Array) -> None:
        """Refuse a bias of floats that is rounded otherwise for each of two filters that tie."""
        weights, bias = (self._constants.get(name) for name in node.inputs[1:3])
        if not isinstance(weights, np.ndarray) or not isinstance(bias, np.ndarray):
            return
        filters = {"Conv": 0, "ConvTranspose": 1}.get(node.op, 0 if node["transB"] else 1)
        if not have_one_unit(np.moveaxis(weights, filters, 0), bias, [units]):
            raise Unsupported(
                "has a bias of floats beside filters of several scales, which onnxruntime rounds "
                "to each filter's own unit"
            )

    def kept(self, node: Node) -> str | None:
        """Return the input that a node leaves as it is, if it is one that does."""
        if node.op in _KEEPING:
            return node.inputs[0]
        if node.op not in _NEUTRAL:
            return None
        first, second = node.inputs
        sides = (
            [(first, second)] if node.op in ("Div", "Sub") else [(first, second), (second, first)]
        )
        neutral = (name for name, other in sides if {*self._numbers(other)} == {_NEUTRAL[node.op]})
        return next(neutral, None)

    def _maker(self, name: str, op: str) -> Node | None:
        """Return the node that makes a tensor, if it is of this kind, behind those in between.

        onnxruntime takes away what keeps entries, and what moves them if others move them back.
        """
        node = self._makers.get(name)
        while node is not None:
            behind = node.inputs[0] if node.op in MOVES else self.kept(node)
            if behind is None:
                break
            node = self._makers.get(behind)
        return node if node is not None and node.op == op else None

    def _numbers(self, name: str = "") -> Iterator[float]:
        """Yield the numbers of a constant; none if it is left out, or depends on the image."""
        value = self._constants.get(name)
        if isinstance(value, np.ndarray):
            yield from value.astype(np.float64).ravel().tolist()


def _refuse_scale_of_fewer_axes(node: Node, inputs: Sequence[Value]) -> None:
    """Refuse normalisation over several axes that behind an Add becomes one over the last alone."""
    data = inputs[0].parts[0] if isinstance(inputs[0], Batches) else inputs[0]
    if not isinstance(data, Tracked):
        return
    count = data.rank - node.get("axis", -1) % data.rank
    given = [value for value in inputs[1:] if isinstance(value, np.ndarray)]
    if count > 1 and any(value.ndim < 2 for value in given):
        raise Unsupported(
            "normalises over several axes with a scale of one, which onnxruntime takes for "
            "normalisation over the last"
        )
