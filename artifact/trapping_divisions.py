"""Divisions that end a process: the least int32 or int64 by -1, which x86 processors trap."""

import math
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import AttributeProto, NodeProto, TensorProto, numpy_helper

from artifact.element_types import infer_types
from artifact.subgraphs import subgraphs
from imaging.refusal import RefusedError

_DIVIDE: Final = {"Div", "Mod"}
_TRAPPED: Final[dict[int, int]] = {TensorProto.INT32: 2**31, TensorProto.INT64: 2**63}
"""Types, and the number behind their largest one, with a minus their least one."""

_COUNTING: Final = {"ArgMax", "ArgMin", "NonZero", "Shape", "Size"}
"""Operators that give sides, numbers of entries or their places: 0 or more."""

_MOVING: Final = {
    **dict.fromkeys(("Expand", "Flatten", "Gather", "GatherElements", "GatherND"), slice(1)),
    **dict.fromkeys(("Identity", "Reshape", "Slice", "Split", "Squeeze", "Tile"), slice(1)),
    **dict.fromkeys(("Transpose", "Unsqueeze"), slice(1)),
    **dict.fromkeys(("Concat", "Max", "Min"), slice(None)),
    "Where": slice(1, 3),
}
"""Operators that give entries of some of their inputs, and which of these."""

_LONGEST_SIDE: Final = 2**31 - 1
"""Of an image or a batch of them; what the graph makes without an entry may have longer ones."""

_LONGEST_WAY: Final = 100
"""Nodes behind each other that are followed."""


def refuse_traps(model: onnx.ModelProto) -> None:
    """See that no image can end the process that classifies it.

    onnxruntime answers a division of integers by 0 with an error, and leaves that of the least
    integer by -1, whose result is none, to the processor: x86 ends the process. So what divides
    int32 or int64 must be a stored constant that is not -1, or a side of a tensor. What is divided
    is not looked at: of 1 / x times y onnxruntime makes y / x.

    Raises
    ------
    RefusedError
        Naming the first node that divides otherwise.
    """
    if next(_doubtful(model.graph), None) is None:
        return
    graph = model.graph
    with suppress(Exception):  # it has errors of its own, and knows no types then
        graph = infer_types(model)
    node = next(_doubtful(graph), None)
    if node is not None:
        name = node.name or next(iter(node.output), "")
        raise RefusedError(
            f"The node {name[:80]!r} ({node.op_type}) divides integers by numbers that depend "
            "on the image, are computed, or are -1: the least integer divided by -1 ends the "
            "process. Divisors that are stored and not -1, sides of tensors, or floats, are "
            "accepted."
        )


def _doubtful(graph: onnx.GraphProto, around: "_Scope | None" = None) -> Iterator[NodeProto]:
    """Yield divisions, in order, that are not known to be of other numbers."""
    scope = _Scope(graph, around)
    for node in graph.node:
        for inner in subgraphs(node):
            yield from _doubtful(inner, scope)
        if node.op_type in _DIVIDE and not scope.is_harmless(node):
            yield node


@dataclass(frozen=True)
class _Entries:
    """What is known of a tensor's entries: between which numbers they are, and that none is -1."""

    low: float
    high: float
    divide: bool

    @classmethod
    def between(cls, low: float, high: float) -> "_Entries":
        return cls(low, high, divide=low > -1 or high < -1)

    def cast(self, kind: int) -> "_Entries | None":
        """Of what they are cast to; a number that the type does not have may become any."""
        most = _TRAPPED.get(kind, 0)
        low, high = math.floor(self.low), math.ceil(self.high)
        return _Entries.between(low, high) if -most <= low and high < most else None


class _Scope:
    """The names that a graph gives, and those around it: a name within hides one around it."""

    def __init__(self, graph: onnx.GraphProto, around: "_Scope | None") -> None:
        self._around = around
        self._inputs = {value.name for value in graph.input} if around is None else set()
        self._origins: dict[str, NodeProto | TensorProto | None] = {
            **{value.name: None for value in graph.input},
            **{tensor.values.name: None for tensor in graph.sparse_initializer},
            **{tensor.name: tensor for tensor in graph.initializer},
            **{name: node for node in graph.node for name in node.output},
        }
        self._types = {tensor.name: tensor.data_type for tensor in graph.initializer}
        for value in (*graph.input, *graph.value_info, *graph.output):
            if value.type.HasField("tensor_type") and value.name in self._origins:
                self._types.setdefault(value.name, value.type.tensor_type.elem_type)
        self._found: dict[str, _Entries | None] = {}

    def is_harmless(self, node: NodeProto) -> bool:
        """Whether a division is of other types, or never by -1."""
        kinds = [kind for name in node.input[:2] if (kind := self._type(name))]
        if kinds and kinds[0] not in _TRAPPED:
            return True
        divisor = self._entries(node.input[1], 0)
        return divisor is not None and divisor.divide

    def _home(self, name: str) -> "_Scope | None":
        scope: _Scope | None = self
        while scope is not None and name not in scope._origins:
            scope = scope._around
        return scope

    def _type(self, name: str) -> int:
        home = self._home(name)
        return 0 if home is None else home._types.get(name, 0)

    def _entries(self, name: str, way: int) -> _Entries | None:
        """Follow a name to what is stored, or to a side; None where that is not all there is."""
        home = self._home(name)
        if home is None or way > _LONGEST_WAY:
            return None
        if name not in home._found:
            home._found[name] = None
            origin = home._origins[name]
            if isinstance(origin, TensorProto):
                home._found[name] = _stored(origin)
            elif origin is not None:
                home._found[name] = home._given(origin, way + 1)
        return home._found[name]

    def _given(self, node: NodeProto, way: int) -> _Entries | None:
        if node.op_type == "Constant":
            return _constant(node)
        if node.op_type in _COUNTING:
            home = self._home(node.input[0])
            of_an_image = home is not None and node.input[0] in home._inputs
            return _Entries.between(0, _LONGEST_SIDE if of_an_image else 2**63 - 1)
        if node.op_type == "Cast":
            entries = self._entries(node.input[0], way)
            kind = next(each.i for each in node.attribute if each.name == "to")
            return None if entries is None else entries.cast(kind)
        if node.op_type in _MOVING:
            names = node.input[_MOVING[node.op_type]]
            return _together([self._entries(name, way) for name in names])
        return None


def _together(parts: Iterable[_Entries | None]) -> _Entries | None:
    known = [part for part in parts if part is not None]
    if len(known) < len([*parts]):
        return None
    low, high = min(part.low for part in known), max(part.high for part in known)
    return _Entries(low, high, divide=all(part.divide for part in known))


def _constant(node: NodeProto) -> _Entries | None:
    """Read a Constant of one value; of several, runtimes differ in which counts."""
    if len(node.attribute) != 1:
        return None
    given = node.attribute[0]
    if given.type == AttributeProto.TENSOR:
        return _stored(given.t)
    numbers = {
        AttributeProto.INT: [given.i],
        AttributeProto.INTS: given.ints,
        AttributeProto.FLOAT: [given.f],
        AttributeProto.FLOATS: given.floats,
    }
    return _of_numbers(np.array(numbers[given.type])) if given.type in numbers else None


def _stored(tensor: TensorProto) -> _Entries | None:
    return _of_numbers(numpy_helper.to_array(tensor))


def _of_numbers(numbers: NDArray[Any]) -> _Entries | None:
    if numbers.dtype.kind not in "biuf" or not numbers.size or not np.isfinite(numbers).all():
        return None
    low, high = numbers.min().item(), numbers.max().item()
    return _Entries(low, high, divide=not bool((numbers == -1).any()))
