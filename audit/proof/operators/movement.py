"""Operators that move entries and compute nothing: they move the entries' numbers."""

import math
from typing import Final

import numpy as np

from audit.proof.file.node import Unsupported
from audit.proof.operators.ranges import every_input, first, hull, of_constant
from audit.proof.operators.record import Operator, Rule, rounded_once
from audit.proof.values.context import Bound, Context, Tracked
from audit.proof.values.numbering import Numbers
from audit.proof.values.sizes import NO_AXIS, Batch, Side


def keep(context: Context) -> list[Numbers]:
    """Identity, and dropout as it is outside of training."""
    if context.node.op == "Dropout":
        training = context.constant(2)
        if training is not None and training.any():
            raise Unsupported("drops entries at random")
        if any(context.node.outputs[1:]):
            raise Unsupported("gives what it drops, which is not followed")
    return [context.image().numbers]


def transpose(context: Context) -> list[Numbers]:
    """Permute the axes."""
    x = context.image()
    order = context.node.get("perm", list(range(x.rank))[::-1])
    if sorted(order) != list(range(x.rank)):
        raise Unsupported(f"permutes {x.rank} axes by {list(order)}")
    context.batch_axis = list(order).index(x.batch_axis)
    others = [context.axis(axis) for axis in order if axis != x.batch_axis]
    return [x.numbers.transpose([0, *others])]


def reshape(context: Context) -> list[Numbers]:
    """Lay the entries of each image out in another shape."""
    context.batch_first()
    numbers = context.image().numbers
    target = context.sides(1)
    if not context.node["allowzero"]:
        known: list[Side] = [Batch(), *numbers.shape[1:]]
        if any(side == 0 and place >= len(known) for place, side in enumerate(target)):
            raise Unsupported("keeps an axis that there is not")
        target = [known[place] if side == 0 else side for place, side in enumerate(target)]
    return [numbers.reshape(2, *_rest(context, target, numbers[0].size))]


def _rest(context: Context, target: list[Side], entries: int) -> list[int]:
    """Return the sides after N, if the target keeps the images of a batch apart."""
    apart = "gives the entries a shape in which images of a batch are not kept apart"
    if not target or any(isinstance(side, Batch) for side in target[1:]):
        raise Unsupported(apart)
    rest = [int(side) for side in target[1:] if not isinstance(side, Batch)]
    unknown = rest.count(-1)
    if min(rest, default=0) < -1 or 0 in rest or unknown > 1:
        raise Unsupported(apart)
    others = math.prod(side for side in rest if side != -1)
    if not context.is_batch(target[0]):
        # The first side is what is left for it: N, if the others hold all entries of an image.
        if target[0] != -1 or unknown or others != entries:
            raise Unsupported(apart)
        return rest
    if unknown and entries % others == 0:
        return [entries // others if side == -1 else side for side in rest]
    if unknown or others != entries:
        raise Unsupported(apart)
    return rest


def flatten(context: Context) -> list[Numbers]:
    """Make one axis of all but N."""
    context.batch_first()
    x = context.image()
    axis = context.node.get("axis", 1)
    if not -x.rank <= axis <= x.rank or (axis + x.rank if axis < 0 else axis) != 1:
        raise Unsupported("makes the images of a batch part of a longer axis")
    return [x.numbers.reshape(2, -1)]


def squeeze(context: Context) -> list[Numbers]:
    """Leave out axes of length 1."""
    x, axes = context.image(), context.integers("axes", 1)
    if axes is None:
        raise Unsupported("leaves out every axis of length 1, also that of a batch of one image")
    if not axes:
        raise Unsupported(NO_AXIS)
    places = context.axes(axes)
    if any(x.numbers.shape[place] != 1 for place in places):
        raise Unsupported("leaves out axes that are not of length 1")
    context.batch_axis -= sum(axis % x.rank < x.batch_axis for axis in axes)
    return [np.squeeze(x.numbers, tuple(places))]


def unsqueeze(context: Context) -> list[Numbers]:
    """Insert axes of length 1."""
    x, axes = context.image(), context.integers("axes", 1) or []
    rank = x.rank + len(axes)
    if any(not -rank <= axis < rank for axis in axes):
        raise Unsupported(f"inserts axes {axes} into a tensor of {x.rank} axes")
    inserted = {axis % rank for axis in axes}
    if len(inserted) < len(axes):
        raise Unsupported("inserts an axis twice")
    kept = [axis for axis in range(rank) if axis not in inserted]
    context.batch_axis = kept[x.batch_axis]
    places = [axis + 1 if axis < context.batch_axis else axis for axis in inserted]
    return [np.expand_dims(x.numbers, tuple(places))]


def cut(context: Context) -> list[Numbers]:
    """Slice along axes."""
    numbers = context.image().numbers
    starts, ends = context.integers("starts", 1) or [], context.integers("ends", 2) or []
    axes, steps = context.integers("axes", 3), context.constant(4)
    if axes is None:
        axes = list(range(len(starts)))
    strides = [1] * len(starts) if steps is None else [int(step) for step in np.ravel(steps)]
    if not len(starts) == len(ends) == len(axes) == len(strides):
        raise Unsupported("slices by lists of different lengths")
    places = context.axes(axes)
    for place, start, end, stride in zip(places, starts, ends, strides, strict=True):
        refuse_backward_ends(start, end, stride, numbers.shape[place])
        found = range(*slice(start, end, stride).indices(numbers.shape[place]))
        if list(found) != list(range(numbers.shape[place])):
            numbers = np.take(numbers, list(found), place)
    return [numbers]


def refuse_backward_ends(start: int, end: int, step: int, side: int) -> None:
    """Refuse a slice of which runtimes and ONNX's reference do not give the same."""
    if step == 0:
        raise Unsupported("slices in steps of 0")
    if step < 0 and start < -side:
        raise Unsupported("starts a backward slice before the beginning")
    if step < 0 and end >= side:  # runtimes take the largest integer for all there is
        raise Unsupported("ends a backward slice behind the end")


def split(context: Context) -> list[Numbers]:
    """Cut an axis into parts."""
    numbers = context.image().numbers
    axis = context.axis(context.node.get("axis", 0))
    sides = context.integers("split", 1)
    length, count = numbers.shape[axis], len(context.node.outputs)
    if context.node.get("num_outputs", count) != count:
        raise Unsupported("splits an axis into another number of parts than it gives")
    if sides is None:
        side = -(-length // count)
        sides = [min(side, length - side * place) for place in range(count)]
    if sum(sides) != length or min(sides) < 0 or len(sides) != count:
        raise Unsupported(f"splits an axis of {length} into parts of {sides}")
    return list(np.split(numbers, np.cumsum(sides)[:-1], axis))


def concat(context: Context) -> list[Numbers]:
    """Join tensors along an axis, also with constants that are the same for each image."""
    x = context.tracked[0]
    if any(value.batch_axis != x.batch_axis or value.rank != x.rank for value in context.tracked):
        raise Unsupported("joins tensors with the images of a batch along different axes")
    axis = context.axis(context.node["axis"])
    tensors = [_joinable(context, place) for place in range(len(context.inputs))]
    context.reserve(sum(numbers[0].size for numbers in tensors))
    return [np.concatenate(tensors, axis)]


def _joinable(context: Context, place: int) -> Numbers:
    value, x = context.given(place), context.tracked[0]
    if isinstance(value, Tracked):
        return value.numbers
    constant = context.required(place)
    if constant.ndim != x.rank or not context.is_batch(constant.shape[x.batch_axis]):
        raise Unsupported("joins the image's data with constants")
    rows = np.moveaxis(constant, x.batch_axis, 0)
    numbers = context.numbering.constants(rows)
    if (numbers != numbers[:1]).any():
        raise Unsupported("joins each image of a batch with constants of its own")
    return np.concatenate([numbers[:1]] * 2)


def gather(context: Context) -> list[Numbers]:
    """Pick entries along an axis."""
    x, places = context.image(), context.required(1)
    axis = context.node.get("axis", 0)
    place = context.axis(axis)
    side = x.numbers.shape[place]
    if places.size and not -side <= places.min() <= places.max() < side:
        raise Unsupported(f"picks entries outside of an axis of {side}")
    if axis % x.rank < x.batch_axis:
        context.batch_axis += places.ndim - 1
    context.reserve(x.numbers[0].size // max(side, 1) * places.size)
    return [np.take(x.numbers, places, place)]


def expand(context: Context) -> list[Numbers]:
    """Repeat along axes of length 1."""
    context.batch_first()
    numbers, target = context.image().numbers, context.sides(1)
    if len(target) == numbers.ndim:
        if not (target[0] == 1 or context.is_batch(target[0])):
            raise Unsupported("repeats the images of a batch")
        target = [2, *target[1:]]
    if len(target) > numbers.ndim or any(isinstance(side, Batch) for side in target):
        raise Unsupported("repeats the images of a batch")
    sides = [int(side) for side in target if not isinstance(side, Batch)]
    shape = np.broadcast_shapes(numbers.shape, tuple(sides))
    context.reserve(math.prod(shape[1:]))
    return [np.broadcast_to(numbers, shape)]


def tile(context: Context) -> list[Numbers]:
    """Repeat along axes."""
    context.batch_first()
    numbers = context.image().numbers
    repeats = [int(count) for count in np.ravel(context.required(1))]
    if len(repeats) != numbers.ndim or min(repeats) < 0 or repeats[0] != 1:
        raise Unsupported("repeats the images of a batch")
    context.reserve(numbers[0].size * math.prod(repeats))
    return [np.tile(numbers, repeats)]


def shuffle(context: Context) -> list[Numbers]:
    """DepthToSpace and its inverse, which the reference implementation does on numbers as well."""
    context.batch_first()
    numbers = context.image().numbers
    return [context.node.evaluate([numbers])[0].astype(np.int64)]


def pad(context: Context) -> list[Numbers]:
    """Surround the entries with a constant or with copies of themselves."""
    x = context.image()
    rank, widths = x.rank, context.integers("pads", 1) or []
    axes = context.integers("axes", 3)
    named = list(range(rank)) if axes is None else axes
    if len(widths) != 2 * len(named) or len({axis % rank for axis in named}) < len(named):
        raise Unsupported("pads by lists of other lengths than its axes")
    amounts = [(0, 0)] * rank
    for place, axis in enumerate(named):
        before, after = widths[place], widths[place + len(named)]
        if axis % rank == x.batch_axis:
            if before or after:
                raise Unsupported("adds images to a batch")
            continue
        amounts[context.axis(axis)] = (before, after)
    if min(min(pair) for pair in amounts) < 0:
        raise Unsupported("crops by negative padding, which is not followed")
    sides = [side + sum(pair) for side, pair in zip(x.numbers.shape, amounts, strict=True)]
    context.reserve(math.prod(sides[1:]))
    mode = context.node.get("mode", "constant")
    if mode == "constant":
        value = context.constant(2)
        if x.dtype is None:
            raise Unsupported("pads a tensor of unknown type")
        filling = np.asarray(context.node.get("value", 0) if value is None else value, x.dtype)
        number = int(context.numbering.constants(filling.reshape(1))[0])
        return [np.pad(x.numbers, amounts, constant_values=number)]
    if mode not in ("reflect", "edge", "wrap"):
        raise Unsupported(f"pads in the mode {mode!r}, which is not followed")
    if any(max(pair) >= side for pair, side in zip(amounts, x.numbers.shape, strict=True)):
        raise Unsupported("pads by more than the tensor's own side")
    return [np.pad(x.numbers, amounts, mode=mode)]


def _joined(context: Context) -> Bound:
    return hull(every_input(context))


def _padded(context: Context) -> Bound:
    inner = context.tracked[0].bound
    if context.node.get("mode", "constant") != "constant":
        return inner
    value = context.constant(2)
    filling = np.ravel(context.node.get("value", 0.0) if value is None else value)
    return hull([inner, of_constant(filling)])


def _moves(name: str, versions: tuple[int, ...], rule: Rule, *, any_axis: bool = False) -> Operator:
    return rounded_once(name, versions, rule, first, any_axis=any_axis)


_OF_LATE: Final = (19, 21, 23, 24, 25)

OPERATORS: Final = (
    rounded_once("Concat", (4, 11, 13), concat, _joined),
    rounded_once("Pad", (2, 11, 13, 18, *_OF_LATE), pad, _padded, folding="confirmed"),
    rounded_once("Dropout", (7, 10, 12, 13, 22), keep, first, folding="never"),
    _moves("DepthToSpace", (1, 11, 13), shuffle),
    _moves("Expand", (8, 13), expand),
    _moves("Flatten", (9, 11, 13, 21, 23, 24, 25), flatten),
    _moves("Gather", (1, 11, 13), gather, any_axis=True),
    _moves("Identity", (1, 13, 14, 16, *_OF_LATE), keep, any_axis=True),
    _moves("Reshape", (5, 13, 14, *_OF_LATE), reshape),
    _moves("Slice", (1, 10, 11, 13), cut, any_axis=True),
    _moves("SpaceToDepth", (1, 13), shuffle),
    _moves("Split", (2, 11, 13, 18), split, any_axis=True),
    _moves("Squeeze", (1, 11, 13, 21, 23, 24, 25), squeeze, any_axis=True),
    _moves("Tile", (6, 13), tile),
    _moves("Transpose", (1, 13, 21, 23, 24, 25), transpose, any_axis=True),
    _moves("Unsqueeze", (1, 11, 13, 21, 23, 24, 25), unsqueeze, any_axis=True),
)
