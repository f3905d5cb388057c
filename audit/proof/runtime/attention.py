"""Attention that onnxruntime writes as one node, in which tokens see others than in the file.

A mask of one entry that is repeated becomes one of what comes before each token; what a mask hides
gets a number of the node's own; and a mask hides where its integer part is not positive. Of tokens
in windows, each sees all tokens.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from audit.proof.file.node import Array, Node, Unsupported
from audit.proof.values.batches import Batches, Value
from audit.proof.values.context import Tracked
from audit.proof.values.sizes import Side, Sizes

_TOKENS_RANK: Final = 3
"""Of a tensor of tokens: images, tokens, features."""

_PARTED_RANK: Final = 5
"""Of one whose features are queries, keys and values of several heads."""


class Attention:
    """Refuses attention of which onnxruntime may read the mask, or the windows, otherwise.

    Parameters
    ----------
    maker
        Returns the node that makes a tensor, if it is of the kind that is asked for.
    constants
        Every tensor that does not depend on the image, by name, as far as it is known already.
    """

    def __init__(
        self,
        maker: Callable[[str, str], Node | None],
        constants: Mapping[str, Array | Sizes],
    ) -> None:
        self._maker, self._constants = maker, constants
        self._truths: set[str] = set()
        self._tokens: dict[str, Side] = {}

    def see(self, node: Node, inputs: Sequence[Value]) -> None:
        """Remember whether what a Sub takes away is 0 or 1 for every image."""
        if all(map(_is_truth, inputs[1:])):
            self._truths.update(node.outputs)

    def follow_tokens(self, node: Node, inputs: Sequence[Value], source: str | None) -> None:
        """Remember how many tokens a product of matrices has, whatever is moved of it.

        Parameters
        ----------
        source
            The input that a node moves or leaves as it is, if it is one that does.
        """
        sides = _sides(inputs[0])
        if node.op == "MatMul" and len(sides) == _TOKENS_RANK:
            self._tokens[node.outputs[0]] = sides[1]
        elif source in self._tokens:
            self._tokens.update(dict.fromkeys(node.outputs, self._tokens[source]))

    def refuse_windows(self, node: Node, inputs: Sequence[Value]) -> None:
        """Refuse a Split into queries, keys and values of which tokens are in several windows.

        Raises
        ------
        Unsupported
            If a node is one.
        """
        sides, tokens = _sides(inputs[0]), self._tokens.get(node.inputs[0])
        threes = len(node.outputs) == 3 and len(sides) == _PARTED_RANK
        if threes and tokens is not None and sides[1] != tokens:
            raise Unsupported(
                "splits tokens in windows into three, and onnxruntime writes what comes after as "
                "attention of all tokens"
            )

    def refuse_other_mask(self, node: Node) -> None:
        """Refuse a MatMul that weighs entries by masked ones.

        Raises
        ------
        Unsupported
            Saying how they are masked.
        """
        for name in node.inputs:
            softmax = self._maker(name, "Softmax")
            for score in self._summands(softmax.inputs[0]) if softmax is not None else ():
                if self._maker(score, "Where") is not None:
                    raise Unsupported(
                        "weighs entries of which some are replaced before a softmax, and "
                        "onnxruntime writes this as attention with a mask of its own"
                    )
                if self._hides_doubtfully(score):
                    raise Unsupported(
                        "weighs entries by a softmax with a mask that may be other than 0 and 1, "
                        "and onnxruntime takes its integer part"
                    )

    def _summands(self, name: str) -> Iterator[str]:
        yield name
        added = self._maker(name, "Add")
        yield from added.inputs if added is not None else ()

    def _hides_doubtfully(self, name: str) -> bool:
        """Whether entries are a number less a mask, times another, and it may be no mask."""
        product = self._maker(name, "Mul")
        for factor in product.inputs if product is not None else ():
            less = self._maker(factor, "Sub")
            if less is None or less.inputs[0] not in self._constants:
                continue
            taken = self._constants.get(less.inputs[1])
            if less.outputs[0] not in self._truths and not _is_truth(taken):
                return True
        return False


def _sides(value: Value) -> Sequence[Side]:
    return value.sides if isinstance(value, (Batches, Tracked)) else ()


def _is_truth(value: Value) -> bool:
    """Whether all entries are 0 or 1."""
    if isinstance(value, np.ndarray):
        return bool(((value == 0) | (value == 1)).all())
    parts = value.parts if isinstance(value, Batches) else (value,)
    bounds = [part.bound for part in parts if isinstance(part, Tracked)]
    return len(bounds) == len(parts) and all(
        bound.whole and not (bound.unbounded or bound.loose) and 0 <= bound.low <= bound.high <= 1
        for bound in bounds
    )
