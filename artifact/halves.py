"""Whether a file computes its answers in half precision, of which more is tolerated."""

from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import onnx
from onnx import AttributeProto, TensorProto

from artifact.onnx_file import all_nodes

_HALF: Final = TensorProto.FLOAT16
_TYPES: Final = {"to", "dtype", "output_dtype", "softmax_precision"}
"""Attributes that name a type of elements."""

_Key = tuple[str, str, str]


def holds_halves(model: onnx.ModelProto, output: str) -> bool:
    """Whether an output is computed from stored numbers of half precision, or by casts to them.

    What nodes do in their own graphs and in functions of the file's own counts as they themselves
    do, and what no output of theirs is computed from does not.
    """
    search = _Search(model)
    return search.finds(model.graph, {output}) or search.finds_in_functions()


class _Search:
    """Looks for half precision in what names are computed from, in each function once."""

    def __init__(self, model: onnx.ModelProto) -> None:
        self._functions = {
            (each.domain, each.name, each.overload): each for each in model.functions
        }
        self._called: set[_Key] = set()
        self._waiting: list[_Key] = []
        self._given: dict[_Key, set[str]] = {}
        for node in all_nodes(model) if model.functions else ():
            called = self._given.setdefault(_key(node), set())
            called.update(each.name for each in node.attribute if each.i == _HALF)

    def finds(self, graph: onnx.GraphProto, needed: set[str]) -> bool:
        """Search a graph; names from around it that are needed within are added to ``needed``."""
        if any(self._find(graph.node, needed)):
            return True
        stored = (*graph.initializer, *(each.values for each in graph.sparse_initializer))
        return any(each.data_type == _HALF and each.name in needed for each in stored)

    def finds_in_functions(self) -> bool:
        """Search the functions that were called, and those that they call."""
        while self._waiting:
            key = self._waiting.pop()
            function = self._functions[key]
            if any(self._find(function.node, {*function.output}, key)):
                return True
        return False

    def _find(
        self, nodes: Iterable[onnx.NodeProto], needed: set[str], key: _Key | None = None
    ) -> Iterator[bool]:
        """Yield whether each node that is needed holds half precision, the last one first."""
        for node in reversed([*nodes]):  # each stands behind those that it reads
            if needed.isdisjoint(node.output):
                continue
            needed.update(node.input)
            for attribute in node.attribute:
                yield self._names_half(attribute, key) or _stores_half(attribute)
                for graph in (attribute.g, *attribute.graphs):
                    within = {value.name for value in graph.output}
                    yield self.finds(graph, within)
                    needed |= within
            called = _key(node)
            if called in self._functions and called not in self._called:
                self._called.add(called)
                self._waiting.append(called)

    def _names_half(self, attribute: AttributeProto, key: _Key | None) -> bool:
        """Whether an attribute is the type, in a function also that of some call, or by default."""
        if attribute.name not in _TYPES:
            return False
        if key is None or not attribute.ref_attr_name:
            return bool(attribute.i == _HALF)
        named = attribute.ref_attr_name
        defaults: Mapping[str, int] = {
            each.name: each.i for each in self._functions[key].attribute_proto
        }
        return defaults.get(named) == _HALF or named in self._given.get(key, ())


def _stores_half(attribute: AttributeProto) -> bool:
    stored = (attribute.t, *attribute.tensors, attribute.sparse_tensor.values)
    return any(tensor.data_type == _HALF for tensor in stored)


def _key(node: onnx.NodeProto) -> _Key:
    return node.domain, node.op_type, node.overload
