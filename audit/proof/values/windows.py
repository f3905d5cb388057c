"""How windows slide along the axes of a grid, and which symmetries of the grid they keep."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audit.proof.file.node import Node, Unsupported
from audit.proof.values.numbering import Numbers
from imaging import GridSymmetry


@dataclass(frozen=True)
class Window:
    """A window of ``kernel`` pixels that slides along an axis of ``size`` pixels."""

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    count: int

    def places(self) -> Numbers:
        """Return the pixels of every window ``[count, kernel]``; ``size`` stands for outside."""
        starts = np.arange(self.count)[:, None] * self.stride - self.before
        places = starts + np.arange(self.kernel) * self.dilation
        return np.where((places >= 0) & (places < self.size), places, self.size)

    @property
    def has_empty(self) -> bool:
        """Whether there is a window with nothing but padding."""
        return bool((self.places() == self.size).all(axis=1).any())

    @property
    def reversible(self) -> bool:
        """Whether the windows map onto themselves when the axis is reversed.

        The first one begins ``before`` pixels in front of the axis, so that the last one has to end
        as many behind it. With padding ``p`` on both sides that is ``(n + 2p - k) mod s == 0``.
        """
        end = (self.count - 1) * self.stride + (self.kernel - 1) * self.dilation + 1 - self.before
        return end == self.size + self.before


def read_windows(node: Node, sides: Sequence[int], kernel: Sequence[int]) -> list[Window]:
    """Return the window along each axis, as ONNX defines it for convolution and pooling.

    Raises
    ------
    Unsupported
        If windows are rounded up in number, or attributes do not fit the axes.
    """
    rank = len(sides)
    strides = node.get("strides", [1] * rank)
    dilations = node.get("dilations", [1] * rank)
    pads = node.get("pads", [0] * 2 * rank)
    if not len(kernel) == len(strides) == len(dilations) == rank or len(pads) != 2 * rank:
        raise Unsupported("has windows of another rank than its input")
    if min(*strides, *dilations, *kernel) < 1:
        raise Unsupported("has windows, strides or dilations of less than one pixel")
    mode = node.get("auto_pad", "NOTSET")
    if mode not in ("NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER"):
        raise Unsupported(f"pads in the mode {mode!r}, which is not followed")
    if mode.startswith("SAME") and max(dilations) > 1:
        # Runtimes pad by what a window without dilation needs, and not by what the standard says.
        raise Unsupported(f"has dilated windows with auto_pad {mode}, which runtimes pad otherwise")
    windows = []
    for axis, (n, k, s, d) in enumerate(zip(sides, kernel, strides, dilations, strict=True)):
        span = (k - 1) * d + 1
        before, after = pads[axis], pads[rank + axis]
        if mode in ("SAME_UPPER", "SAME_LOWER"):
            total = (-(-n // s) - 1) * s + span - n
            if total < 0:
                # The standard pads by nothing, and runtimes cut off at both ends.
                raise Unsupported(f"has strides beyond its windows with auto_pad {mode}")
            before = total // 2 if mode == "SAME_UPPER" else -(-total // 2)
            after = total - before
        elif mode == "VALID":
            before = after = 0
        spare = n + before + after - span
        if spare < 0 or min(before, after) < 0:
            raise Unsupported(f"has a window of {span} pixels that does not fit into {n}")
        if node.get("ceil_mode", 0) and spare % s:
            raise Unsupported("has one more window than fits into its input (ceil_mode)")
        windows.append(Window(n, k, s, d, before, spare // s + 1))
    return windows


@dataclass(frozen=True)
class Spread:
    """How a transposed convolution spreads an axis of ``size`` pixels over ``count``."""

    size: int
    kernel: int
    stride: int
    dilation: int
    before: int
    after: int
    count: int

    @property
    def reversible(self) -> bool:
        """Whether as much is cut off at one end as at the other."""
        return self.before == self.after


def read_transposed(node: Node, sides: Sequence[int], kernel: Sequence[int]) -> list[Spread]:
    """Return how a transposed convolution spreads each axis.

    Raises
    ------
    Unsupported
        If its output's size is said in another way than by padding.
    """
    rank = len(sides)
    strides, dilations = node.get("strides", [1] * rank), node.get("dilations", [1] * rank)
    pads, more = node.get("pads", [0] * 2 * rank), node.get("output_padding", [0] * rank)
    if node["output_shape"] or node.get("auto_pad", "NOTSET") != "NOTSET":
        raise Unsupported("says the size of its output in a way that is not followed")
    lengths = (len(kernel), len(strides), len(dilations), len(more))
    if lengths != (rank,) * 4 or len(pads) != 2 * rank or min(*pads, *more) < 0:
        raise Unsupported("has windows of another rank than its input")
    if min(*strides, *dilations, *kernel) < 1:
        raise Unsupported("has windows, strides or dilations of less than one pixel")
    spreads = []
    for axis, (n, k, s, d) in enumerate(zip(sides, kernel, strides, dilations, strict=True)):
        before, after = pads[axis], pads[rank + axis] - more[axis]
        count = (n - 1) * s + (k - 1) * d + 1 - before - after
        if count < 1:
            raise Unsupported("pads away all of its output")
        spreads.append(Spread(n, k, s, d, before, after, count))
    return spreads


def are_symmetric(windows: Sequence[Window] | Sequence[Spread], symmetry: GridSymmetry) -> bool:
    """Whether windows over a plane are mapped onto windows by a symmetry of the plane."""
    rows, columns = windows
    if symmetry.quarter_turns % 2:
        return rows == columns and rows.reversible
    upside_down = (
        symmetry.quarter_turns == 2
    )  # a half turn, after which a mirror turns columns back
    sideways = symmetry.mirrored != upside_down
    return (rows.reversible or not upside_down) and (columns.reversible or not sideways)
