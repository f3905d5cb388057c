"""Several batches in one: copies of the images one after the other, or several rows of each image.

``concat([x, rotated(x)], 0)`` makes a batch of 2 N images, and ``[N, T, C]`` that is reshaped to
``[N T, C]`` one of T rows of each image. Every operator does to each of the copies, or rows, what
it would do to it alone, so that they are followed one by one, until the graph parts them again.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audit.proof.file.node import Array, Node, Unsupported
from audit.proof.operators.ranges import hull
from audit.proof.values.context import Bound, Tracked
from audit.proof.values.sizes import Batch, Side, Sizes, as_sides


@dataclass(frozen=True, eq=False)
class Batches:
    """A tensor whose first axis holds several batches in one.

    Attributes
    ----------
    parts
        The batches.
    by_image
        Whether what an image has in all of them stands together, and not each batch by itself.
    """

    parts: tuple[Tracked, ...]
    by_image: bool = False

    @property
    def sides(self) -> list[Side]:
        """The shape as the graph sees it."""
        return [
            Batch(len(self.parts)) if isinstance(side, Batch) else side
            for side in self.parts[0].sides
        ]


Followed = Tracked | Batches
Value = Followed | Array | Sizes | None


def joins_batches(node: Node, inputs: Sequence[Value]) -> bool:
    """Whether a node puts batches one after the other."""
    if node.op != "Concat" or not all(isinstance(v, (Tracked, Batches)) for v in inputs):
        return False
    for value in inputs:
        if isinstance(value, Tracked):
            axis = node["axis"]
            if not -value.rank <= axis < value.rank or axis % value.rank != value.batch_axis:
                return False
        elif isinstance(value, Batches):
            first = value.parts[0]
            if value.by_image or first.batch_axis or node["axis"] not in (0, -first.rank):
                return False
    return True


def join(inputs: Sequence[Value]) -> Batches:
    """Put batches one after the other."""
    parts: list[Tracked] = []
    for value in inputs:
        if isinstance(value, Batches):
            parts += value.parts
        elif isinstance(value, Tracked):
            if value.batch_axis:
                raise Unsupported("joins images along another axis than the first")
            parts.append(value)
    if len({part.shape for part in parts}) > 1:
        raise Unsupported("joins batches of images of different shapes")
    return Batches(tuple(parts))


def part(node: Node, inputs: Sequence[Value], batch: int | None) -> list[Tracked] | None:
    """Return what a node gives that parts batches again; None if it does not.

    Parameters
    ----------
    batch
        N, if the file fixes it.
    """
    value = inputs[0]
    if not isinstance(value, Batches) or node.op not in ("Reshape", "Slice", "Split"):
        return None
    if value.by_image:
        return None
    if value.parts[0].batch_axis:
        raise Unsupported("has the images of batches along another axis than the first")
    if node.op == "Split" and node.get("axis", 0) in (0, -value.parts[0].rank):
        return _split(node, inputs, value, batch)
    if node.op == "Slice":
        return _slice(node, inputs, value, batch)
    return _reshape(inputs, value, batch) if node.op == "Reshape" else None


def _copies(side: Side, batch: int | None) -> int | None:
    """Return how many times N a side is, if it is that."""
    if isinstance(side, Batch):
        return None if side.more else side.copies
    return side // batch if batch and side % batch == 0 else None


def _split(node: Node, inputs: Sequence[Value], value: Batches, batch: int | None) -> list[Tracked]:
    given = node["split"]
    if given is None and len(inputs) > 1 and inputs[1] is not None:
        given = as_sides(_constant(inputs[1]))
    count = len(node.outputs)
    equal = given is None and count == len(value.parts)
    ones = given is not None and [_copies(side, batch) for side in given] == [1] * count
    if count != len(value.parts) or not (equal or ones):
        raise Unsupported("splits batches otherwise than into themselves")
    return list(value.parts)


def _slice(
    node: Node, inputs: Sequence[Value], value: Batches, batch: int | None
) -> list[Tracked] | None:
    if node["starts"] is not None:
        starts, ends, axes = node["starts"], node["ends"], node["axes"]
        steps: Sequence[Side] = [1]
    else:
        starts, ends = (as_sides(_constant(given)) for given in inputs[1:3])
        rest = [*inputs[3:], None, None]
        axes = None if rest[0] is None else as_sides(_constant(rest[0]))
        steps = [1] if rest[1] is None else as_sides(_constant(rest[1]))
    axes = range(len(starts)) if axes is None else axes
    if 0 not in [axis % value.parts[0].rank for axis in axes if isinstance(axis, int)]:
        return None
    if len(axes) != 1 or list(steps) != [1]:
        raise Unsupported("slices batches otherwise than into themselves")
    first = 0 if starts[0] == 0 else _copies(starts[0], batch)
    last = _copies(ends[0], batch)
    beyond = isinstance(ends[0], int) and ends[0] >= 2**31 - 1
    last = len(value.parts) if beyond else last
    if first is None or first < 0 or last != first + 1 or last > len(value.parts):
        raise Unsupported("slices batches otherwise than into themselves")
    return [value.parts[first]]


def _reshape(inputs: Sequence[Value], value: Batches, batch: int | None) -> list[Tracked] | None:
    """``[M N, *S] -> [M, N, *S]``: the batch becomes the second axis."""
    target = as_sides(_constant(inputs[1]))
    count, shape = len(value.parts), value.parts[0].shape
    rest = [side for side in target[2:] if isinstance(side, int)]
    others = math.prod(side for side in rest if side != -1)
    if rest.count(-1) == 1 and others > 0 and target[1] != -1 and target[0] != -1:
        rest = [math.prod(shape) // others if side == -1 else side for side in rest]
    if len(rest) + 2 != len(target) or rest != list(shape):
        return None
    lead = target[0] == count or (target[0] == -1 and _copies(target[1], batch) == 1)
    second = target[1] == -1 or _copies(target[1], batch) == 1
    if not (lead and second):
        return None
    numbers = np.stack([part.numbers for part in value.parts], axis=1)
    return [Tracked(numbers, value.parts[0].dtype, joined_bound(value.parts), batch_axis=1)]


def lay_out(node: Node, inputs: Sequence[Value], batch: int | None) -> Followed | None:
    """Return what a node gives that makes entries of an image rows, or takes rows back.

    ``[N, T, C] -> [N T, C]`` and what else keeps the entries of an image together; None if the node
    does nothing of the kind.

    Parameters
    ----------
    batch
        N, if the file fixes it.

    Raises
    ------
    Unsupported
        If the node lays rows out in which images are not kept apart.
    """
    value = inputs[0] if inputs else None
    if node.op not in ("Flatten", "Reshape") or not isinstance(value, (Tracked, Batches)):
        return None
    rows = isinstance(value, Batches)
    parts = value.parts if isinstance(value, Batches) else (value,)
    if isinstance(value, Batches) and not value.by_image:
        return None
    shape = None if parts[0].batch_axis else _laid(node, inputs, value.sides, batch)
    if shape is None or (shape[0] == 1 and not rows):
        if rows:
            raise Unsupported("gives rows a shape in which images of a batch are not kept apart")
        return None
    numbers = np.stack([part.numbers for part in parts], axis=1).reshape(2, *shape)
    bound = joined_bound(parts)
    laid = [Tracked(numbers[:, row], parts[0].dtype, bound) for row in range(shape[0])]
    return laid[0] if len(laid) == 1 else Batches(tuple(laid), by_image=True)


def _laid(
    node: Node, inputs: Sequence[Value], sides: Sequence[Side], batch: int | None
) -> tuple[int, ...] | None:
    """Return how many rows an image has after a node, and their shape; None if nobody knows."""
    entries = math.prod(side.copies if isinstance(side, Batch) else side for side in sides)
    target = _target(node, inputs, sides)
    rest = [side for side in target[1:] if isinstance(side, int)]
    unknown, known = rest.count(-1), math.prod(side for side in rest if side != -1)
    if not target or len(rest) + 1 < len(target) or unknown > 1 or known < 1:
        return None
    rows = 0 if unknown else entries // known
    if target[0] != -1:
        rows = _copies(target[0], batch) or 0
    missing = entries // (rows * known) if rows > 0 else 0
    if rows * known * missing != entries or not entries or (missing > 1 and not unknown):
        return None
    return rows, *(missing if side == -1 else side for side in rest)


def _target(node: Node, inputs: Sequence[Value], sides: Sequence[Side]) -> Sequence[Side]:
    """Return the shape that a Flatten or a Reshape gives, -1 for what is left; empty if unknown."""
    if node.op == "Flatten":
        axis = node.get("axis", 1)
        axis += len(sides) if axis < 0 else 0
        rest = [side for side in sides[axis:] if isinstance(side, int)]
        return [-1, math.prod(rest)] if 0 < axis <= len(sides) else []
    target = as_sides(_constant(inputs[1]))
    kept = [place for place, side in enumerate(target) if side == 0]
    if node["allowzero"] or any(place >= len(sides) for place in kept):
        return []
    return [sides[place] if place in kept else side for place, side in enumerate(target)]


def joined_bound(parts: Sequence[Tracked]) -> Bound:
    """Bound the entries of all the batches."""
    found = hull([part.bound for part in parts])
    return Bound(
        found.low,
        found.high,
        found.whole,
        found.deviation,
        unbounded=any(part.bound.unbounded for part in parts),
        signed_zero=found.signed_zero,
        rounded=any(part.bound.rounded for part in parts),
        either_zero=any(part.bound.either_zero for part in parts),
    )


def alone(inputs: Sequence[Value]) -> list[list[Tracked | Array | Sizes | None]]:
    """Return the inputs of a node for each of the batches."""
    kinds = {(len(v.parts), v.by_image) for v in inputs if isinstance(v, Batches)}
    if len(kinds) != 1 or any(isinstance(value, Tracked) for value in inputs):
        raise Unsupported("combines batches of different numbers of images")
    count = next(iter(kinds))[0]
    return [
        [
            value.parts[place] if isinstance(value, Batches) else _single(value, count)
            for value in inputs
        ]
        for place in range(count)
    ]


def _single(value: Value, count: int) -> Array | Sizes | None:
    """Return sizes as one of the batches sees them: N where the whole says M times N."""
    if isinstance(value, Sizes):
        sides = value.sides.copy()
        for place, side in np.ndenumerate(sides):
            if isinstance(side, Batch):
                if side != Batch(count):
                    raise Unsupported("computes with the number of images in a batch")
                sides[place] = Batch()
        return Sizes(sides, value.narrow)
    if isinstance(value, (Tracked, Batches)):
        raise Unsupported("combines batches of different numbers of images")
    return value


def _constant(value: Value) -> Array | Sizes:
    if not isinstance(value, (np.ndarray, Sizes)):
        raise Unsupported("computes a shape from the image")
    return value
