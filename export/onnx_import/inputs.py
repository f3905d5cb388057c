"""What image a file from elsewhere takes, and what its numbers are."""

from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import onnx
from onnx import TensorProto

from export.onnx_import.graphs import OnnxImportError, dependents

_FLOATS: Final = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.DOUBLE)


_KEEP_CHANNELS: Final = ("Identity", "Cast", "Add", "Sub", "Mul", "Div", "Clip", "Pad")


Sides = tuple[int, int]
"""Height and width."""


@dataclass(frozen=True)
class Scaling:
    """What becomes of a level: ``(scale * level - mean) / std``, one number or one a channel.

    The channels are those that the file takes: blue, green, red with ``bgr``.
    """

    scale: float
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)
    bgr: bool = False

    def __post_init__(self) -> None:
        numbers = (self.scale, *self.mean, *self.std)
        if not np.isfinite(numbers).all() or self.scale == 0 or 0 in self.std:
            raise OnnxImportError("A scale or deviation is zero or no number; others are accepted.")


@dataclass(frozen=True)
class Input:
    """The given input, of height and width; ``batch`` is the number of images that it fixes."""

    name: str
    kind: int
    channels: Literal[1, 3]
    sides: Sides
    nhwc: bool
    batch: int | None


def read_input(
    graph: onnx.GraphProto,
    value: onnx.ValueInfoProto,
    size: int | Sides | None,
    otherwise: Sides | None = None,
) -> Input:
    """Read what the one input of a file is.

    Height and width, where open, are ``size``, or ``otherwise`` if that is None, too. A batch of 0
    or -1 images stands for one of any size, as some exporters write it. Channels that are open are
    as many as the first convolution reads.

    Raises
    ------
    OnnxImportError
        If it is no image with one or three channels.
    """
    kind = value.type.tensor_type
    axes = [axis.dim_value if axis.dim_value > 0 else None for axis in kind.shape.dim]
    shown = ", ".join("?" if axis is None else str(axis) for axis in axes)
    if kind.elem_type not in (*_FLOATS, TensorProto.UINT8):
        name = TensorProto.DataType.Name(kind.elem_type)
        raise OnnxImportError(f"The input '{value.name}' is {name}; uint8 and floats are accepted.")
    if len(axes) != 4:
        raise OnnxImportError(f"The input '{value.name}' is [{shown}]; [N, C, H, W] is accepted.")
    if axes[1] is None and axes[3] not in (1, 3):
        axes[1] = _read_channels(graph, value.name)
    last = axes[3] in (1, 3) and axes[1] not in (1, 3)
    if {axes[1], axes[3]} <= {1, 3} and _read_channels(graph, value.name) != axes[1]:
        raise OnnxImportError(
            f"The input '{value.name}' is [{shown}], and its channels may be first or last; images "
            "of another height and width are accepted."
        )
    channels, height, width = (axes[3], axes[1], axes[2]) if last else axes[1:]
    size = (size, size) if isinstance(size, int) else size
    if (open_size := size or otherwise) is not None:
        height, width = height or open_size[0], width or open_size[1]
    if height is None or width is None:
        raise OnnxImportError(
            f"The input '{value.name}' is [{shown}], of any size; --size names the one to use."
        )
    if channels not in (1, 3) or size not in (None, (height, width)):
        asked = "" if size is None else f" of {size[0]} x {size[1]} pixels"
        raise OnnxImportError(
            f"The input '{value.name}' is [{shown}]; images{asked} with 1 or 3 channels, first or "
            "last, are accepted."
        )
    sides = (height, width)
    return Input(value.name, kind.elem_type, 3 if channels == 3 else 1, sides, last, axes[0])


def _read_channels(graph: onnx.GraphProto, image: str) -> int | None:
    """Return how many channels the first convolution reads, if it reads the image's own."""
    stored = {tensor.name: tensor for tensor in graph.initializer}
    for node in dependents(graph.node, image):
        if node.op_type == "Conv" and node.input[1] in stored:
            groups = next((each.i for each in node.attribute if each.name == "group"), 1)
            return int(stored[node.input[1]].dims[1]) * groups
        if node.op_type not in _KEEP_CHANNELS:
            return None
    return None


def check_scaling(given: Input, scaling: Scaling | None) -> None:
    """Raise a ``OnnxImportError`` unless a scaling is given exactly where one is needed."""
    if given.kind == TensorProto.UINT8:
        if scaling is not None:
            raise OnnxImportError(
                "The input is uint8 and scaled by the file itself; --input-scale, --mean and --std "
                "are for an input of floats."
            )
        return
    if scaling is None:
        raise OnnxImportError(
            f"The input '{given.name}' is of floats, and what a grey level from 0 to 255 becomes "
            "is not in the file; --input-scale names it, 1/255 for instance."
        )
    if scaling.bgr and given.channels != 3:
        raise OnnxImportError(
            "--channel-order bgr is for images in colour, and the file takes grey."
        )
    for name, numbers in (("--mean", scaling.mean), ("--std", scaling.std)):
        if len(numbers) not in (1, given.channels):
            raise OnnxImportError(
                f"{name} has {len(numbers)} numbers; one, or one for each of the "
                f"{given.channels} channels, is accepted."
            )
