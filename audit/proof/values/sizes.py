"""Shapes in which the batch stands: integers, and N, which no proof knows and no number stands for.

N is a type of its own. Nothing can compute with it or compare it by accident: a rule that does not
ask for sizes cannot read them, and what these functions do not state ends the proof.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from audit.proof.file.node import Array, Node, Unsupported

_MOST: Final = 2**20
_MIXES: Final = "computes with the number of images in a batch"
NO_AXIS: Final = "names no axis to leave out, which runtimes take for all of length 1"


@dataclass(frozen=True)
class Batch:
    """So many times the number of images in a batch, which is one or more, and so many more."""

    copies: int = 1
    more: int = 0


Side = int | Batch


@dataclass(frozen=True, eq=False)
class Sizes:
    """A constant that holds sizes, N among them.

    Attributes
    ----------
    sides : object array of int and `Batch`, of any shape
    narrow
        Whether it is one of int32, and not of int64: then it is moved and not computed with.
    """

    sides: NDArray[np.object_]
    narrow: bool = False


Sized = Sizes | Array


def of_shape(sides: Sequence[Side]) -> Sized:
    """Return what Shape gives."""
    return _settled(_objects(list(sides)))


def as_sides(value: Sized) -> list[Side]:
    """Return the entries of a constant that says a shape."""
    if isinstance(value, Sizes):
        return list(value.sides.reshape(-1))
    return [int(side) for side in np.ravel(value)]


def compute(node: Node, inputs: Sequence[Sized | None]) -> list[Sized]:
    """Compute with sizes.

    Raises
    ------
    Unsupported
        If it is not stated here what the operator does with N.
    """
    rule = _RULES.get(node.op)
    narrow = any(isinstance(value, Sizes) and value.narrow for value in inputs)
    if rule is None or (narrow and node.op not in _MOVES):
        raise Unsupported(_MIXES)
    if node.op == "Cast":
        narrow = node["to"] == TensorProto.INT32
    return [_settled(rule(node, [_sides(value) for value in inputs]), narrow)]


def _sides(value: Sized | None) -> Any:
    if value is None:
        return None
    return value.sides if isinstance(value, Sizes) else value


def _objects(entries: list[Side]) -> NDArray[np.object_]:
    array = np.empty(len(entries), object)
    array[:] = entries
    return array


def _settled(sides: NDArray[Any], narrow: bool = False) -> Sized:
    """Return sizes without N as what they are: ordinary integers."""
    sides = np.asarray(sides)
    if sides.dtype != object:
        return sides
    if any(isinstance(side, Batch) for side in sides.reshape(-1)):
        return Sizes(sides, narrow)
    return sides.astype(np.int32 if narrow else np.int64)


def shape_of(node: Node, sides: Sequence[Side]) -> list[Side]:
    """Return the sides that Shape gives, all of them or those between its attributes."""
    return list(sides[slice(node.get("start", 0), node.get("end", len(sides)))])


def _axes(node: Node, values: Sequence[Any]) -> list[int]:
    found = node["axes"]
    if found is None and len(values) > 1 and values[1] is not None:
        found = values[1]
    if found is None or np.asarray(found).dtype == object:
        raise Unsupported(_MIXES)
    return [int(axis) for axis in np.ravel(found)]


def _squeezed(node: Node, values: Sequence[Any]) -> tuple[int, ...] | None:
    """Return the axes to leave out; None for all those of length 1."""
    given = node["axes"] is not None or (len(values) > 1 and values[1] is not None)
    axes = tuple(_axes(node, values)) if given else None
    if axes == ():
        raise Unsupported(NO_AXIS)
    return axes


def _gather(node: Node, values: Sequence[Any]) -> Any:
    if values[1].dtype == object:
        raise Unsupported(_MIXES)
    return np.take(values[0], values[1], node.get("axis", 0))


def _slice(node: Node, values: Sequence[Any]) -> Any:
    if any(value is not None and value.dtype == object for value in values[1:]):
        raise Unsupported(_MIXES)
    if node["starts"] is not None:
        starts, ends, axes = node["starts"], node["ends"], node.get("axes", [0])
        steps = [1]
    else:
        starts, ends = (np.ravel(value).tolist() for value in values[1:3])
        given = [*values[3:], None, None]
        axes = [0] if given[0] is None else np.ravel(given[0]).tolist()
        steps = [1] if given[1] is None else np.ravel(given[1]).tolist()
    if values[0].ndim != 1 or list(axes) not in ([0], [-1]) or steps[0] < 1:
        raise Unsupported(_MIXES)
    return values[0][int(starts[0]) : int(ends[0]) : int(steps[0])]


def _concat(node: Node, values: Sequence[Any]) -> Any:
    return np.concatenate([value.astype(object) for value in values], node["axis"])


def _reshape(node: Node, values: Sequence[Any]) -> Any:
    if values[1].dtype == object or (values[1] == 0).any():
        raise Unsupported(_MIXES)
    return values[0].reshape([int(side) for side in np.ravel(values[1])])


def _cast(node: Node, values: Sequence[Any]) -> Any:
    """In 32 bits N itself may stand, of less than 2^31 images; a multiple of it may wrap around."""
    if node["to"] not in (TensorProto.INT32, TensorProto.INT64):
        raise Unsupported(_MIXES)
    if node["to"] == TensorProto.INT32:
        for side in np.ravel(values[0]):
            wide = side != Batch() if isinstance(side, Batch) else abs(side) > _MOST
            if wide:
                raise Unsupported(_MIXES)
    return values[0]


def _entrywise(function: Callable[[Side, Side], Side]) -> Callable[[Node, Sequence[Any]], Any]:
    def rule(node: Node, values: Sequence[Any]) -> Any:
        a, b = np.broadcast_arrays(*(value.astype(object) for value in values))
        pairs = list(zip(a.reshape(-1), b.reshape(-1), strict=True))
        flat = [function(x, y) for x, y in pairs]
        for side in [*flat, *(side for pair in pairs for side in pair)]:
            _refuse_large(side)
        return _objects(flat).reshape(a.shape)

    return rule


def _refuse_large(side: Side) -> None:
    """Refuse what might wrap around in 64 bits, for batches of less than 2^31 images."""
    numbers = (side.copies, side.more) if isinstance(side, Batch) else (side,)
    if any(abs(number) > _MOST for number in numbers):
        raise Unsupported(_MIXES)


def _product(a: Side, b: Side) -> Side:
    if isinstance(a, Batch) and isinstance(b, Batch):
        raise Unsupported(_MIXES)
    if isinstance(b, Batch):
        a, b = b, a
    if isinstance(a, Batch):
        if isinstance(b, Batch) or b < 1:
            raise Unsupported(_MIXES)
        return Batch(a.copies * int(b), a.more * int(b))
    return int(a) * int(b)  # type: ignore[arg-type]


def _quotient(a: Side, b: Side) -> Side:
    if isinstance(b, Batch) or b < 1:
        raise Unsupported(_MIXES)
    if isinstance(a, Batch):
        if a.copies % b or a.more < 0:
            raise Unsupported(_MIXES)
        return Batch(a.copies // int(b), a.more // int(b))
    if a < 0:
        raise Unsupported(_MIXES)
    return int(a) // int(b)


def _sum(a: Side, b: Side) -> Side:
    if isinstance(a, Batch) and isinstance(b, Batch):
        return Batch(a.copies + b.copies, a.more + b.more)
    if isinstance(b, Batch):
        a, b = b, a
    if isinstance(a, Batch):
        return Batch(a.copies, a.more + int(b))  # type: ignore[arg-type]
    return int(a) + int(b)  # type: ignore[arg-type]


def _equal(node: Node, values: Sequence[Any]) -> Any:
    def same(a: Side, b: Side) -> bool:
        for one, other in ((a, b), (b, a)):
            if isinstance(one, Batch) and not isinstance(other, Batch):
                if other >= one.copies + one.more:  # how many images there are nobody knows
                    raise Unsupported(_MIXES)
                return False
        if isinstance(a, Batch) and isinstance(b, Batch) and a.copies != b.copies:
            raise Unsupported(_MIXES)  # 2 N is N + 3 where there are three images
        return a == b

    return _entrywise(same)(node, values).astype(bool)


def _where(node: Node, values: Sequence[Any]) -> Any:
    if values[0].dtype == object:
        raise Unsupported(_MIXES)
    return np.where(values[0], values[1].astype(object), values[2].astype(object))


_MOVES: Final = frozenset(
    {"Cast", "Concat", "Gather", "Identity", "Reshape", "Slice", "Squeeze", "Unsqueeze"}
)
_RULES: Final[Mapping[str, Callable[[Node, Sequence[Any]], Any]]] = {
    "Add": _entrywise(_sum),
    "Cast": _cast,
    "Concat": _concat,
    "Div": _entrywise(_quotient),
    "Equal": _equal,
    "Gather": _gather,
    "Identity": lambda node, values: values[0],
    "Mul": _entrywise(_product),
    "Reshape": _reshape,
    "Shape": lambda node, values: np.array(shape_of(node, values[0].shape), np.int64),
    "Slice": _slice,
    "Squeeze": lambda node, values: np.squeeze(values[0], _squeezed(node, values)),
    "Unsqueeze": lambda node, values: np.expand_dims(values[0], tuple(_axes(node, values))),
    "Where": _where,
}
