"""Resizing of a plane, where it is symmetric."""

from collections.abc import Mapping
from typing import Final

import numpy as np

from audit.proof.graph import Array, Stop
from audit.proof.numbering import Numbers
from audit.proof.rules.linear import read_channels
from audit.proof.rules.movement import Rule
from audit.proof.site import Site

_PLACED = 11
"""From this version of the operators on, `Resize` says how it counts coordinates."""

_CENTRED = ("half_pixel", "pytorch_half_pixel", "align_corners", "half_pixel_symmetric")


def resize(site: Site) -> list[Numbers]:
    """Resize the last two axes by a whole factor.

    Interpolation between neighbours is symmetric if coordinates are counted from the centre. Where
    pixels are only repeated, as by nearest neighbours, the pixels' own numbers tell.
    """
    numbers, node = site.image().numbers, site.node
    stretched = node.get("keep_aspect_ratio_policy", "stretch") == "stretch"
    if numbers.ndim != 4 or node["axes"] or node["antialias"] or not stretched:
        raise Stop("resizes in another way than along the two axes of an image, by its neighbours")
    sides = _sides(site)
    mode = node.get("mode", "nearest")
    if mode == "nearest":
        return [_repeat(site, sides)]
    centred = node.get("coordinate_transformation_mode", "half_pixel") in _CENTRED
    if mode != "linear" or not centred or node.opset < _PLACED or min(sides) < 2:
        raise Stop(f"resizes in the mode {mode!r} in a way that is not known to be symmetric")
    return [_interpolate(site, sides)]


def _sides(site: Site) -> tuple[int, int]:
    """Return the output's sides, whole multiples of the input's."""
    shape = site.image().numbers.shape
    scales = site.constant(2 if site.node.opset >= _PLACED else 1)
    sizes = site.constant(3)
    if scales is not None and np.size(scales) == 4:
        factors = [float(scale) for scale in np.ravel(scales)]
    elif sizes is not None and np.size(sizes) == 4:
        ends = [shape[1], *(int(side) for side in np.ravel(sizes)[2:])]
        if int(np.ravel(sizes)[1]) != shape[1]:
            raise Stop("resizes the axis of the channels")
        factors = [1.0, *(end / side for end, side in zip(ends, shape[1:], strict=True))]
    else:
        raise Stop("resizes to a size that is not known")
    if factors[:2] != [1.0, 1.0] or any(factor < 1 or factor % 1 for factor in factors):
        raise Stop("resizes by a factor that is no whole number")
    return shape[2] * int(factors[2]), shape[3] * int(factors[3])


def _repeat(site: Site, sides: tuple[int, int]) -> Numbers:
    """Nearest neighbours by a whole factor, if that repeats every pixel as often."""
    numbers = site.image().numbers
    for axis, side in zip((2, 3), sides, strict=True):
        before = numbers.shape[axis]
        places = np.arange(before).repeat(side // before)
        if not np.array_equal(_stretched(site, before, side), places):
            raise Stop("does not repeat every pixel equally often")
        numbers = np.take(numbers, places, axis)
    return numbers


def _stretched(site: Site, before: int, side: int) -> Array:
    """Ask the reference implementation which pixel of a line becomes which."""
    line = np.arange(before, dtype=np.float32).reshape(1, 1, before, 1)
    factors = np.array([1, 1, side / before, 1], np.float32)
    nothing = np.zeros(0, np.float32)
    inputs = [line, nothing, factors] if site.node.opset >= _PLACED else [line, factors]
    return np.ravel(site.node.evaluate(inputs)[0])


def _interpolate(site: Site, sides: tuple[int, int]) -> Numbers:
    """Linear interpolation: every plane becomes a larger one, which turns as it does."""
    numbers = site.image().numbers
    seen = read_channels(numbers, site.generator)
    channels = numbers.shape[1]
    if seen is None:
        return site.lose((channels, *sides), "reads an input that does not turn as an image does")
    turn, ids = seen
    if turn.quarter_turns % 2 and sides[0] != sides[1]:
        raise Stop("makes a square image oblong")
    pixels = sides[0] * sides[1]
    planes = site.numbering.fresh(2 * channels * pixels) + ids[..., None] * pixels
    here, there = (planes + np.arange(pixels)).reshape(2, channels, *sides)
    return np.stack([here, turn(there)])


RESIZING: Final[Mapping[str, Rule]] = {"Resize": resize, "Upsample": resize}
