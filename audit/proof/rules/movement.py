"""Operators that move entries and compute nothing: they move the entries' numbers."""

from collections.abc import Callable, Mapping
from typing import Final

import numpy as np

from audit.proof.graph import BATCH, Stop
from audit.proof.numbering import Numbers
from audit.proof.site import Site

Rule = Callable[[Site], list[Numbers]]


def keep(site: Site) -> list[Numbers]:
    """Identity, and dropout as it is outside of training."""
    if site.node.op == "Dropout":
        training = site.constant(2)
        if training is not None and training.any():
            raise Stop("drops entries at random")
    return [site.image().numbers]


def transpose(site: Site) -> list[Numbers]:
    """Permute the axes."""
    numbers = site.image().numbers
    order = site.node.get("perm", list(range(numbers.ndim))[::-1])
    if order[0] != 0:
        raise Stop("moves the axis of the images of a batch")
    return [numbers.transpose(order)]


def reshape(site: Site) -> list[Numbers]:
    """Lay the entries of each image out in another shape."""
    numbers = site.image().numbers
    target = [int(side) for side in np.ravel(site.required(1))]
    if not site.node["allowzero"]:
        known = numbers.shape[: len(target)]
        target = [
            (BATCH if place == 0 else known[place]) if side == 0 and place < len(known) else side
            for place, side in enumerate(target)
        ]
    entries = numbers[0].size
    first, rest = (target[0], target[1:]) if target else (None, [])
    if first == site.batch:
        first = BATCH
    if first == BATCH and rest.count(-1) == 1:
        others = int(np.prod([side for side in rest if side != -1]))
        if others and entries % others == 0:
            rest = [entries // others if side == -1 else side for side in rest]
    if first is None or min(rest, default=0) < 0 or int(np.prod(rest)) != entries:
        raise Stop("gives the entries a shape in which images of a batch are not kept apart")
    return [numbers.reshape(2, *rest)]


def flatten(site: Site) -> list[Numbers]:
    """Make one axis of all but N."""
    numbers = site.image().numbers
    if site.axis(site.node.get("axis", 1), numbers.ndim) != 1:
        raise Stop("makes the images of a batch part of a longer axis")
    return [numbers.reshape(2, -1)]


def squeeze(site: Site) -> list[Numbers]:
    """Leave out axes of length 1."""
    numbers = site.image().numbers
    axes = site.integers("axes", 1)
    if axes is None:
        raise Stop("leaves out every axis of length 1, also that of a batch of one image")
    return [np.squeeze(numbers, tuple(site.axis(axis, numbers.ndim) for axis in axes))]


def unsqueeze(site: Site) -> list[Numbers]:
    """Insert axes of length 1."""
    numbers = site.image().numbers
    axes = site.integers("axes", 1) or []
    rank = numbers.ndim + len(axes)
    return [np.expand_dims(numbers, tuple(site.axis(axis, rank) for axis in axes))]


def cut(site: Site) -> list[Numbers]:
    """Slice along axes."""
    numbers = site.image().numbers
    starts, ends = site.integers("starts", 1) or [], site.integers("ends", 2) or []
    axes = site.integers("axes", 3)
    steps = site.constant(4)
    parts = [slice(None)] * numbers.ndim
    for place, axis in enumerate(range(len(starts)) if axes is None else axes):
        step = 1 if steps is None else int(steps[place])
        axis = site.axis(axis, numbers.ndim)
        if step < 0 and starts[place] < -numbers.shape[axis]:
            raise Stop("starts a backward slice before the beginning")
        parts[axis] = slice(starts[place], ends[place], step)
    return [_sliced(numbers, parts)]


def _sliced(numbers: Numbers, parts: list[slice]) -> Numbers:
    for axis, part in enumerate(parts):
        places = range(*part.indices(numbers.shape[axis]))
        if len(places) != numbers.shape[axis] or part.step not in (None, 1):
            numbers = np.take(numbers, list(places), axis)
    return numbers


def split(site: Site) -> list[Numbers]:
    """Cut an axis into parts."""
    numbers = site.image().numbers
    axis = site.axis(site.node.get("axis", 0), numbers.ndim)
    sides = site.integers("split", 1)
    length, count = numbers.shape[axis], len(site.node.outputs)
    if sides is None:
        side = -(-length // count)
        sides = [min(side, length - side * place) for place in range(count)]
    if sum(sides) != length or min(sides) < 0:
        raise Stop(f"splits an axis of {length} into parts of {sides}")
    return list(np.split(numbers, np.cumsum(sides)[:-1], axis))


def concat(site: Site) -> list[Numbers]:
    """Join tensors along an axis."""
    arrays = [site.image(place).numbers for place in range(len(site.inputs))]
    return [np.concatenate(arrays, site.axis(site.node["axis"], arrays[0].ndim))]


def gather(site: Site) -> list[Numbers]:
    """Pick entries along an axis."""
    numbers, places = site.image().numbers, site.required(1)
    return [np.take(numbers, places, site.axis(site.node.get("axis", 0), numbers.ndim))]


def expand(site: Site) -> list[Numbers]:
    """Repeat along axes of length 1."""
    numbers = site.image().numbers
    target = [int(side) for side in np.ravel(site.required(1))]
    if len(target) > numbers.ndim or (len(target) == numbers.ndim and target[0] not in (1, BATCH)):
        raise Stop("repeats the images of a batch")
    if len(target) == numbers.ndim:
        target[0] = 1
    return [np.broadcast_to(numbers, np.broadcast_shapes(numbers.shape, tuple(target)))]


def tile(site: Site) -> list[Numbers]:
    """Repeat along axes."""
    repeats = [int(count) for count in np.ravel(site.required(1))]
    if repeats[0] != 1:
        raise Stop("repeats the images of a batch")
    return [np.tile(site.image().numbers, repeats)]


def shuffle(site: Site) -> list[Numbers]:
    """DepthToSpace and its inverse, which the reference implementation does on numbers as well."""
    return [site.node.evaluate([site.image().numbers])[0].astype(np.int64)]


def pad(site: Site) -> list[Numbers]:
    """Surround the entries with a constant or with copies of themselves."""
    x = site.image()
    rank, widths = x.numbers.ndim, site.integers("pads", 1) or []
    axes = site.constant(3)
    places = range(rank) if axes is None else [int(axis) % rank for axis in axes]
    before, after = [0] * rank, [0] * rank
    for place, axis in enumerate(places):
        before[axis], after[axis] = widths[place], widths[place + len(places)]
    if before[0] or after[0]:
        raise Stop("adds images to a batch")
    if min(*before, *after) < 0:
        raise Stop("crops by negative padding, which is not followed")
    amounts = list(zip(before, after, strict=True))
    mode = site.node.get("mode", "constant")
    if mode == "constant":
        value = site.constant(2)
        if x.dtype is None:
            raise Stop("pads a tensor of unknown type")
        filling = np.asarray(site.node.get("value", 0) if value is None else value, x.dtype)
        number = int(site.numbering.constants(filling.reshape(1))[0])
        return [np.pad(x.numbers, amounts, constant_values=number)]
    if mode not in ("reflect", "edge", "wrap"):
        raise Stop(f"pads in the mode {mode!r}, which is not followed")
    if any(max(pair) >= side for pair, side in zip(amounts, x.numbers.shape, strict=True)):
        raise Stop("pads by more than the tensor's own side")
    return [np.pad(x.numbers, amounts, mode=mode)]


MOVEMENT: Final[Mapping[str, Rule]] = {
    "Concat": concat,
    "DepthToSpace": shuffle,
    "Dropout": keep,
    "Expand": expand,
    "Flatten": flatten,
    "Gather": gather,
    "Identity": keep,
    "Pad": pad,
    "Reshape": reshape,
    "Slice": cut,
    "SpaceToDepth": shuffle,
    "Split": split,
    "Squeeze": squeeze,
    "Tile": tile,
    "Transpose": transpose,
    "Unsqueeze": unsqueeze,
}
