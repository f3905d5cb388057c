"""Nodes that do for the rotated image what others do for the upright one, and how each is written.

A runtime that merges nodes looks at their neighbours: at the shapes of constants, at what it knows
of a tensor's shape, and at who else reads it. It makes the same of branches that are written alike,
whatever that is. Of branches that are written otherwise it may make different things, although
they are equal by what the file says.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from audit.proof.file.graph import Graph
from audit.proof.file.node import Array, Node
from audit.proof.operators import MOVES
from audit.proof.values.batches import Followed, Value
from audit.proof.values.congruence import name_of
from audit.proof.values.context import Tracked
from audit.proof.values.numbering import Numbers
from audit.proof.values.sizes import Sizes

WRITTEN_OTHERWISE: Final = (
    "does for the rotated image what another node does for the upright one, but is written "
    "otherwise or read by others, so that onnxruntime may make another thing of it"
)

_MOVED: Final = MOVES - {"Pad"}
_TURNED: Final = {"Gather", "GatherElements", "GatherND", "Slice", "Transpose"}
"""Those that make rotated copies, for some branches and not for others."""

_SHAPED: Final = {"Expand", "Reshape", "Resize", "Squeeze", "Tile", "Unsqueeze"}
"""Those whose output has a shape that a runtime may not know before it runs."""

_SAME: Final = {"Sum": "Add"}
_MIXED: Final = (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


class Counterparts:
    """Compares how nodes are written that give the same entries, for either image.

    Parameters
    ----------
    constants
        Every tensor that does not depend on the image, by name, as far as it is known already.
    keeps
        Says which input a node leaves as it is, if it is one that a runtime may take away.
    """

    def __init__(
        self,
        graph: Graph,
        constants: Mapping[str, Array | Sizes],
        keeps: Callable[[Node], str | None],
    ) -> None:
        self._graph, self._constants, self._keeps = graph, constants, keeps
        self._makers = {name: node for node in graph.nodes for name in node.outputs if name}
        self._readers: dict[str, list[Node]] = defaultdict(list)
        for node in graph.nodes:
            for name in filter(None, node.inputs):
                self._readers[name].append(node)
        self._seen: tuple[dict[Hashable, list[Node]], ...] = (defaultdict(list), defaultdict(list))
        self._starts: dict[str, Hashable] = {}
        self._idle: set[str] = set()
        self._open: set[str] = set()
        self._sources: dict[str, Hashable] = {}

    def see(self, node: Node, inputs: Sequence[Value], output: Followed) -> None:
        """Remember what a node gives for each of the two images."""
        given = inputs[0]
        computed = any(name and self._source(name) for name in node.inputs[1:])
        if not self._open.isdisjoint(node.inputs) or (node.op in _SHAPED and computed):
            self._open.update(node.outputs)
        if not isinstance(output, Tracked):
            return
        if node.op in _TURNED and isinstance(given, Tracked):
            start = self._starts.get(node.inputs[0]) or name_of(given.numbers)
            self._starts[node.outputs[0]] = start
            if name_of(output.numbers) == start:
                self._idle.update(node.outputs)
        if node.op not in _MOVED and self._keeps(node) is None:
            for seen, half in zip(self._seen, output.numbers, strict=True):
                for name in (name_of(half), _fingerprint(half)):
                    seen[output.dtype, name].append(node)

    def written_otherwise(self) -> Node | None:
        """Return the first node that is written otherwise than those that give the same."""
        upright, rotated = self._seen
        odd = (
            here[0]
            for name, here in upright.items()
            if (there := rotated.get(name)) and here != there
            if Counter(map(self._writing, here)) != Counter(map(self._writing, there))
        )
        return min(odd, key=lambda node: node.index, default=None)

    def _writing(self, node: Node) -> Hashable:
        """Return what a runtime looks at where it merges a node with its neighbours."""
        inputs = tuple(map(self._input, node.inputs))
        outputs = tuple(
            (tuple(sorted(self._uses(name))), self._graph.declared.get(name)) if name else None
            for name in node.outputs
        )
        return node.function, inputs, outputs

    def _input(self, name: str) -> Hashable:
        """Return what is known of an input: the constant, or what makes it for this node alone."""
        value, passed = self._constants.get(name), []
        if value is not None:
            kind = (value.dtype.name, value.shape) if isinstance(value, np.ndarray) else None
            return kind, self._source(name)
        is_open = name in self._open
        while (maker := self._makers.get(name)) is not None:
            kept = maker.inputs[0] if maker.op in _MOVED else self._keeps(maker)
            if kept is None:
                break
            if maker.op != "Identity" and (maker.op not in _TURNED or name in self._idle):
                passed.append((maker.op, *map(self._source, maker.inputs)))
            name = kept
        if maker is None or self._is_copied(name):
            return "", (), is_open
        return maker.op if len([*self._uses(name)]) == 1 else "", tuple(passed), is_open

    def _is_copied(self, name: str, *, start: bool = True) -> bool:
        """Whether there are rotated copies of a tensor, which branches read."""
        readers = self._readers.get(name, [])
        moved = [name for node in readers if node.op in _MOVED for name in node.outputs if name]
        turned = not start and name in self._starts and name not in self._idle
        if turned and any(node.op not in _MOVED for node in readers):
            return True
        return any(self._is_copied(output, start=False) for output in moved)

    def _source(self, name: str) -> Hashable:
        """Return how a constant is computed; None if it is stored, or no constant."""
        if name not in self._sources:
            maker = self._makers.get(name)
            found: Hashable = None
            if maker is None:
                found = name in self._graph.replaceable or None
            elif maker.op == "Identity":  # by which exporters share a weight
                found = self._source(maker.inputs[0])
            elif name in self._constants and maker.op != "Constant":
                found = maker.op, *map(self._source, maker.inputs)
            self._sources[name] = found
        return self._sources[name]

    def _uses(self, name: str) -> Iterator[str]:
        """Yield the operators that read a tensor, also behind nodes that move or keep it."""
        if name in self._graph.outputs:
            yield ""
        for node in self._readers.get(name, []):
            if node.op in _MOVED or self._keeps(node) == name:
                for output in filter(None, node.outputs):
                    yield from self._uses(output)
            else:
                yield _SAME.get(node.op, node.op)


def _fingerprint(numbers: Numbers) -> Hashable:
    """Return what numbers have in common with the same ones in another order."""
    one = numbers.reshape(-1).astype(np.uint64) * np.uint64(_MIXED[0])
    one ^= one >> np.uint64(29)
    two = one * np.uint64(_MIXED[1])
    two ^= two >> np.uint64(32)
    return numbers.size, int(one.sum()), int((two * np.uint64(_MIXED[2])).sum())
