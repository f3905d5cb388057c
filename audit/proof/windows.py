"""How windows slide along the axes of a grid, and which symmetries of the grid they keep."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from audit.proof.graph import Node, Stop
from audit.proof.numbering import Numbers
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
    Stop
        If windows are rounded up in number, or attributes do not fit the axes.
    """
    rank = len(sides)
    strides = node.get("strides", [1] * rank)
    dilations = node.get("dilations", [1] * rank)
    pads = node.get("pads", [0] * 2 * rank)
    if not len(kernel) == len(strides) == len(dilations) == rank or len(pads) != 2 * rank:
        raise Stop("has windows of another rank than its input")
    mode = node.get("auto_pad", "NOTSET")
    windows = []
    for axis, (n, k, s, d) in enumerate(zip(sides, kernel, strides, dilations, strict=True)):
        span = (k - 1) * d + 1
        before, after = pads[axis], pads[rank + axis]
        if mode in ("SAME_UPPER", "SAME_LOWER"):
            total = max((-(-n // s) - 1) * s + span - n, 0)
            before = total // 2 if mode == "SAME_UPPER" else -(-total // 2)
            after = total - before
        elif mode == "VALID":
            before = after = 0
        spare = n + before + after - span
        if spare < 0 or min(before, after) < 0:
            raise Stop(f"has a window of {span} pixels that does not fit into {n}")
        if node.get("ceil_mode", 0) and spare % s:
            raise Stop("has one more window than fits into its input (ceil_mode)")
        windows.append(Window(n, k, s, d, before, spare // s + 1))
    return windows


def are_symmetric(windows: Sequence[Window], symmetry: GridSymmetry) -> bool:
    """Whether windows over a plane are mapped onto windows by a symmetry of the plane."""
    rows, columns = windows
    if symmetry.quarter_turns % 2:
        return rows == columns and rows.reversible
    upside_down = (
        symmetry.quarter_turns == 2
    )  # a half turn, after which a mirror turns columns back
    sideways = symmetry.mirrored != upside_down
    return (rows.reversible or not upside_down) and (columns.reversible or not sideways)
