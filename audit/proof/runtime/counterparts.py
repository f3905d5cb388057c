"""Nodes that do for the rotated image what others do for the upright one, and how each is written.

A runtime that merges nodes looks at their neighbours: at the shapes of constants, at what it knows
of a tensor's shape, and at who else reads it. It makes the same of branches that are written alike,
whatever that is. Of branches that are written otherwise it may make different things, although
they are equal by what the file says.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Hashable, Mapping, Sequence
from functools import cached_property
from typing import Final

import numpy as np

from audit.proof.file.graph import Graph
from audit.proof.file.node import Array, Node
from audit.proof.operators import MOVES
from audit.proof.values.batches import Batches, Followed, Value
from audit.proof.values.congruence import name_of
from audit.proof.values.context import Tracked
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
_MANY: Final = 1000
_COPIED: Final = -1


class Counterparts:
    """Compares how nodes are written that do the same to the same entries.

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
        self._shapes: dict[str, Hashable] = {}
        self._starts: dict[str, Hashable] = {}
        self._idle: set[str] = set()
        self._open: set[str] = set()
        self._shaped_by: dict[str, frozenset[Hashable]] = {}
        self._sources: dict[str, int] = {}
        self._computed: dict[Hashable, int] = {}
        self._makes: dict[str, tuple[str, int]] = {}

    def see(self, node: Node, inputs: Sequence[Value], output: Followed) -> None:
        """Remember what a node gives for each of the two images."""
        given = inputs[0]
        computed = any(name and self._source(name) for name in node.inputs[1:])
        if not self._open.isdisjoint(node.inputs) or (node.op in _SHAPED and computed):
            self._open.update(node.outputs)
        self._note_shaping(node)
        parts = output.parts if isinstance(output, Batches) else (output,)
        shape = len(parts), parts[0].batch_axis, parts[0].shape
        self._shapes.update(dict.fromkeys(node.outputs, shape))
        if node.op in _TURNED and isinstance(given, Tracked) and isinstance(output, Tracked):
            start = self._starts.get(node.inputs[0]) or name_of(given.numbers)
            self._starts[node.outputs[0]] = start
            if name_of(output.numbers) == start:
                self._idle.update(node.outputs)

    def _note_shaping(self, node: Node) -> None:
        """Note which computed constants a runtime would have to know to know a shape.

        And the shapes that the file notes of what is made of them.
        """
        behind = (self._shaped_by[name] for name in node.inputs if name in self._shaped_by)
        computed = map(self._source, filter(None, node.inputs))
        shaped_by = frozenset[Hashable](filter(None, computed)).union(*behind)
        for name in filter(None, node.outputs if shaped_by else ()):
            noted = self._graph.declared.get(name)
            self._shaped_by[name] = shaped_by if noted is None else shaped_by | {noted}

    def written_otherwise(self, pairs: Collection[tuple[int, int]]) -> Node | None:
        """Return the first node that is written otherwise than one that does the same.

        Parameters
        ----------
        pairs
            Indices of nodes that do the same.
        """
        writings = self.writings() if pairs else {}
        odd = (other for one, other in pairs if writings[one] != writings[other])
        return min(map(self._graph.nodes.__getitem__, odd), key=lambda n: n.index, default=None)

    def writings(self) -> dict[int, int]:
        """Return a number for each node, the same for those that are written alike."""
        known: dict[Hashable, int] = {}
        return {
            node.index: known.setdefault(self._writing(node.index), len(known))
            for node in self._graph.nodes
            if not self._shapes.keys().isdisjoint(node.outputs)
        }

    def _writing(self, index: int) -> Hashable:
        """Return what a runtime looks at where it merges a node with its neighbours."""
        node = self._graph.nodes[index]
        inputs = tuple(map(self._input, node.inputs))
        outputs = tuple(
            (self._readings(name), self._graph.declared.get(name)) if name else None
            for name in node.outputs
        )
        shapes = tuple(map(self._shapes.get, node.outputs))
        return node.function, shapes, inputs, outputs

    def _input(self, name: str) -> Hashable:
        """Return what is known of an input: the constant, or what makes it for this node alone."""
        value = self._constants.get(name)
        if value is not None:
            kind = (value.dtype.name, value.shape) if isinstance(value, np.ndarray) else None
            return kind, self._source(name)
        maker = self._makers.get(self._merged.get(name, name))
        dequantised = maker is not None and maker.op == "DequantizeLinear"
        return self._made(name), name in self._open, dequantised

    def _made(self, name: str) -> tuple[str, int]:
        """Return what makes a tensor, and a number for the nodes that move or keep it behind that.

        Both are nothing where there are rotated copies of what is made.
        """
        behind = []
        while name not in self._makes:
            maker = self._makers.get(name)
            kept = None if maker is None else self._moved(maker)
            if maker is not None and kept is not None:
                behind.append((name, maker))
                name = kept
            elif maker is None or name in self._copied:
                self._makes[name] = "", _COPIED
            else:
                self._makes[name] = maker.op if self._is_read_once(name) else "", 0
        op, passed = self._makes[name]
        for name, maker in reversed(behind):
            step = self._passed(name, maker)
            if passed != _COPIED and step is not None:
                passed = self._computed.setdefault((passed, step), len(self._computed) + 2)
            self._makes[name] = op, passed
        return op, passed

    def _moved(self, node: Node) -> str | None:
        return node.inputs[0] if node.op in MOVES else self._keeps(node)

    def _passed(self, name: str, maker: Node) -> Hashable:
        """Return what a node is that moves or keeps entries; None if it does not matter."""
        sources = tuple(map(self._source, maker.inputs))
        if maker.op == "Pad":
            return maker.op, self._is_read_once(name), sources
        turns = maker.op in _TURNED and name not in self._idle
        return None if maker.op == "Identity" or turns else (maker.op, sources)

    def _readings(self, name: str) -> Hashable:
        """Return what reads a tensor, as the file has it and once nodes that are equal are one."""
        merged = self._merged[name]
        return self._uses.get(name), self._uses_of_merged.get(merged), self._quantised[merged]

    def _is_read_once(self, name: str) -> bool:
        uses = self._uses.get(name, ()), self._uses_of_merged.get(self._merged[name], ())
        return all(sum(count for _, count in each) == 1 for each in uses)

    @cached_property
    def _copied(self) -> set[str]:
        """Those tensors of which there are rotated copies, which branches read."""
        copied: set[str] = set()
        for node in reversed(self._graph.nodes):
            outputs = filter(None, node.outputs)
            if node.op in _MOVED and any(self._is_copy(name, copied) for name in outputs):
                copied.update(node.inputs)
        return copied

    def _is_copy(self, name: str, copied: set[str]) -> bool:
        turned = name in self._starts and name not in self._idle
        return name in copied or (
            turned and any(node.op not in _MOVED for node in self._readers.get(name, []))
        )

    def _source(self, name: str) -> int:
        """Return a number for how a constant is computed; 0 if it is stored, or no constant."""
        waiting = [name]
        while waiting:
            name = waiting[-1]
            maker = self._makers.get(name)
            before: list[str] = []
            if maker is not None and maker.op == "Identity":  # by which exporters share a weight
                before = maker.inputs[:1]
            elif maker is not None and name in self._constants and maker.op != "Constant":
                before = maker.inputs
            further = [other for other in before if other not in self._sources]
            if further:
                waiting += further
                continue
            waiting.pop()
            if maker is None:
                self._sources[name] = int(name in self._graph.replaceable)
            elif maker.op == "Identity":
                self._sources[name] = self._sources[before[0]]
            else:
                # Of a Shape a runtime makes a constant where it knows the shape.
                shaped_by = map(self._shaped_by.get, before)
                ways = map(self._sources.__getitem__, before)
                way = (maker.op, *ways, *shaped_by) if before else None
                number = len(self._computed) + 2
                self._sources[name] = self._computed.setdefault(way, number) if way else 0
        return self._sources[name]

    @cached_property
    def _merged(self) -> Mapping[str, str]:
        """The names that tensors have once a runtime has made one node of those that are equal."""
        merged: dict[str, str] = {self._graph.image.name: self._graph.image.name, "": ""}
        known: dict[Hashable, Sequence[str]] = {}
        for name, value in self._graph.constants.items():
            alone = value.size > 1 or value.ndim > 1 or name in self._graph.replaceable
            number = (value.dtype.name, value.shape, value.tobytes())
            merged[name] = known.setdefault(name if alone else number, [name])[0]
        for node in self._graph.nodes:
            kept = None if node.op == "Cast" else self._keeps(node)
            if node.op == "Identity" or not self._idle.isdisjoint(node.outputs):
                kept = node.inputs[0]
            if kept is not None:
                merged.update(dict.fromkeys(node.outputs, merged[kept]))
                continue
            reads = tuple(merged[name] for name in node.inputs)
            gives = tuple(map(bool, node.outputs))
            first = known.setdefault((node.function, reads, gives), node.outputs)
            merged.update(zip(node.outputs, first, strict=True))
        return merged

    @cached_property
    def _distinct(self) -> Sequence[tuple[Node, Sequence[str]]]:
        """Nodes that are left when those that are equal are one, and what they read."""
        merged = self._merged
        left = [
            node
            for node in self._graph.nodes
            if any(merged[name] == name for name in filter(None, node.outputs))
        ]
        return [(node, [merged[name] for name in node.inputs]) for node in left]

    @cached_property
    def _uses(self) -> Mapping[str, tuple[tuple[str, int], ...]]:
        """How many operators of each name read a tensor, also behind nodes that move or keep it."""
        nodes = [(node, node.inputs) for node in self._graph.nodes]
        return self._counted(nodes, self._graph.outputs)

    @cached_property
    def _uses_of_merged(self) -> Mapping[str, tuple[tuple[str, int], ...]]:
        outputs = [self._merged[name] for name in self._graph.outputs]
        return self._counted(self._distinct, outputs)

    @cached_property
    def _quantised(self) -> Counter[str]:
        """How often a tensor is quantised at once, by name as it is merged."""
        readers = (inputs[0] for node, inputs in self._distinct if node.op == "QuantizeLinear")
        return Counter(readers)

    def _counted(
        self, nodes: Sequence[tuple[Node, Sequence[str]]], outputs: Sequence[str]
    ) -> Mapping[str, tuple[tuple[str, int], ...]]:
        found: dict[str, Counter[str]] = defaultdict(Counter)
        for name in outputs:
            found[name][""] += 1
        for node, inputs in reversed(nodes):
            for name, given in zip(inputs, node.inputs, strict=True):
                if node.op in _MOVED or self._keeps(node) == given:
                    for output in filter(None, node.outputs):
                        found[name].update(found[output])
                else:
                    found[name][_SAME.get(node.op, node.op)] += 1
                for op, count in found[name].items():
                    found[name][op] = min(count, _MANY)
        names = {name for node, inputs in nodes for name in (*inputs, *node.outputs)}
        return {name: tuple(sorted(found[name].items())) for name in names}
