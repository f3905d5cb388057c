"""Resizing of a plane, where it is symmetric."""

import math
from typing import Final

import numpy as np

from audit.proof.file.node import Array, Unsupported
from audit.proof.file.types import is_integer
from audit.proof.operators.record import Exact, Operator
from audit.proof.values.channels import read_channels, rotated_planes
from audit.proof.values.context import Bound, Context
from audit.proof.values.numbering import Numbers, is_unmoved
from imaging import GridSymmetry

_PLACED: Final = 11
"""From this version of the operators on, `Resize` says how it counts coordinates."""

_CENTRED: Final = ("half_pixel", "pytorch_half_pixel", "align_corners", "half_pixel_symmetric")


def resize(context: Context) -> list[Numbers]:
    """Resize the last two axes.

    Interpolation between neighbours, two or four, is symmetric if coordinates are counted from the
    centre and the factor is whole. Where pixels are only repeated, as by nearest neighbours, the
    pixels' own numbers tell. Of everything else it is known that equal planes give equal planes.
    """
    context.batch_first()
    x, node = context.image(), context.node
    stretched = node.get("keep_aspect_ratio_policy", "stretch") == "stretch"
    if x.rank != 4 or node["axes"] or not stretched:
        raise Unsupported("resizes in another way than along the two axes of an image")
    mode = node.get("mode", "nearest")
    if mode not in ("nearest", "linear", "cubic"):
        raise Unsupported(f"resizes in the mode {mode!r}, which is not followed")
    if node.get("coordinate_transformation_mode", "half_pixel") == "tf_crop_and_resize":
        raise Unsupported("crops while it resizes, which is not followed")
    if mode != "nearest" and (x.dtype is None or is_integer(x.dtype)):
        # Runtimes interpolate in floats and cut off, at other places for a rotated image.
        raise Unsupported("interpolates integers, which runtimes round in ways of their own")
    sides, factors = _sides(context)
    context.reserve(x.shape[0] * sides[0] * sides[1])
    whole = all(factor >= 1 and factor % 1 == 0 for factor in factors)
    note = "resizes in a way that is not known to be symmetric"
    if mode == "nearest":
        repeated = _repeat(context, sides) if whole else None
        if repeated is None:
            return [context.opaque((x.shape[0], *sides), note)]
        return [repeated]
    centred = node.get("coordinate_transformation_mode", "half_pixel") in _CENTRED
    placed = centred and node.opset >= _PLACED and not node["antialias"] and min(sides) > 1
    if not placed or not whole:
        return [context.opaque((x.shape[0], *sides), note)]
    return [_interpolate(context, sides)]


def _sides(context: Context) -> tuple[tuple[int, int], tuple[float, float]]:
    """Return the output's sides, and how many times the input's they are."""
    shape = context.image().numbers.shape
    scales = context.constant(2 if context.node.opset >= _PLACED else 1)
    if scales is not None and np.size(scales) == 4:
        factors = [float(scale) for scale in np.ravel(scales)]
        if factors[:2] != [1.0, 1.0] or not all(0 < factor < 1e4 for factor in factors):
            raise Unsupported("resizes other axes than the two of an image")
        ends = [math.floor(side * factor) for side, factor in zip(shape, factors, strict=True)]
        # Runtimes multiply in float32; where that makes a difference, none is taken for granted.
        singles = [
            int(np.floor(np.float32(s) * np.float32(f)))
            for s, f in zip(shape, factors, strict=True)
        ]
        if ends[2:] != singles[2:]:
            raise Unsupported("resizes to a size that depends on rounding")
    elif (target := context.given(3)) is not None and not isinstance(target, np.ndarray):
        given = context.sides(3)
        if len(given) != 4 or not context.is_batch(given[0]) or given[1] != shape[1]:
            raise Unsupported("resizes other axes than the two of an image")
        ends = [0, 0, *(side for side in given[2:] if isinstance(side, int))]
    elif target is not None and target.size == 4:
        ends = [int(side) for side in np.ravel(target)]
        if ends[1] != shape[1]:
            raise Unsupported("resizes the axis of the channels")
        if not context.is_batch(ends[0]):
            raise Unsupported("resizes the axis of the images of a batch")
    else:
        raise Unsupported("resizes to a size that is not known")
    if len(ends) != 4 or min(ends[2:]) < 1:
        raise Unsupported("resizes to a size that is not known")
    if scales is None or np.size(scales) != 4:
        factors = [1.0, 1.0, *(end / side for end, side in zip(ends[2:], shape[2:], strict=True))]
    return (ends[2], ends[3]), (factors[2], factors[3])


def _repeat(context: Context, sides: tuple[int, int]) -> Numbers | None:
    """Nearest neighbours by a whole factor, if that repeats every pixel as often."""
    numbers = context.image().numbers
    for axis, side in zip((2, 3), sides, strict=True):
        before = numbers.shape[axis]
        places = np.arange(before).repeat(side // before)
        if not np.array_equal(_stretched(context, before, side), places):
            return None
        numbers = np.take(numbers, places, axis)
    return numbers


def _stretched(context: Context, before: int, side: int) -> Array:
    """Ask the reference implementation which pixel of a line becomes which."""
    line = np.arange(before, dtype=np.float32).reshape(1, 1, before, 1)
    factors = np.array([1, 1, side / before, 1], np.float32)
    nothing = np.zeros(0, np.float32)
    inputs = [line, nothing, factors] if context.node.opset >= _PLACED else [line, factors]
    return np.ravel(context.node.evaluate(inputs)[0])


def _interpolate(context: Context, sides: tuple[int, int]) -> Numbers:
    """Every plane becomes a larger one, which rotates as it does."""
    numbers = context.image().numbers
    channels = numbers.shape[1]
    symmetry, ids = GridSymmetry(False, 0), np.tile(np.arange(channels), (2, 1))
    if not is_unmoved(numbers):
        seen = read_channels(numbers, context.generator)
        if seen is None:
            note = "reads an input that does not rotate as an image does"
            return context.opaque((channels, *sides), note)
        symmetry, ids = seen
    if symmetry.quarter_turns % 2 and sides[0] != sides[1]:
        return context.opaque((channels, *sides), "makes a square image oblong")
    return rotated_planes(context, ids, sides, symmetry)


def _resized(context: Context) -> Bound:
    inner = context.image().bound
    mode = context.node.get("mode", "nearest")
    if mode == "cubic":  # whose weights may be negative
        return Bound(deviation=math.inf)
    nearest = mode == "nearest"
    signed = inner.signed_zero or not nearest
    return Bound(
        inner.low, inner.high, inner.whole and nearest, inner.deviation, signed_zero=signed
    )


def resize_exactness(context: Context) -> Exact:
    """Nearest neighbours move entries, everything else rounds."""
    return "always" if context.node.get("mode", "nearest") == "nearest" else "never"


OPERATORS: Final = tuple(
    Operator(
        name,
        versions,
        resize,
        bound=_resized,
        integers="always",
        floats=resize_exactness,
        response="smooth",
        blind_to_zeros=True,
    )
    for name, versions in (("Resize", (10, 11, 13, 18, 19)), ("Upsample", (9,)))
)
