"""Windows that slide over a plane: convolution and pooling."""

from typing import Any

import numpy as np

from tests.audit.fuzz.builder import Builder
from tests.audit.fuzz.values import draw, kernel


def window(b: Builder, side: int, kernel_side: int) -> tuple[dict[str, Any], int] | None:
    """Draw how a window slides; symmetric more often than not."""
    dilation, stride = b.pick(1, 1, 1, 2), b.pick(1, 1, 2)
    span = (kernel_side - 1) * dilation + 1
    mode = b.pick("NOTSET", "NOTSET", "NOTSET", "VALID", "SAME_UPPER", "SAME_LOWER")
    attributes: dict[str, Any] = {"strides": [stride] * 2, "dilations": [dilation] * 2}
    if mode == "NOTSET":
        pads = b.pick([0] * 4, [kernel_side // 2] * 4, [1, 0, 0, 1])
        attributes["pads"] = pads
        spare = side + pads[0] + pads[2] - span
        other = side + pads[1] + pads[3] - span
        if min(spare, other) < 0 or max(pads) >= kernel_side + (kernel_side == 1):
            return None
        return attributes, spare // stride + 1
    attributes["auto_pad"] = mode
    if mode == "VALID":
        return (attributes, (side - span) // stride + 1) if side >= span else None
    return attributes, -(-side // stride)


def convolve(b: Builder) -> None:
    x = b.current
    if not x.is_plane or x.shape[1] != x.shape[2] or x.shape[0] > 8:
        return
    side, filters = b.pick(1, 2, 3), b.pick(1, 2, 4)
    found = window(b, x.shape[1], side)
    if found is None:
        return
    attributes, after = found
    weights = kernel(b.random, filters, x.shape[0], side)
    if x.dtype in ("uint8", "int8") and b.chance(0.7):
        small = np.clip(weights, -50, 50).astype(np.int8)
        if b.chance(0.5):
            name, dtype = b.node("ConvInteger", x.name, b.constant(small), **attributes), "int32"
        else:
            one = [b.constant(1, "float32"), b.constant(0, x.dtype)]
            ones = [b.constant(1, "float32"), b.constant(0, "int8")]
            out = [b.constant(b.pick(1, 8), "float32"), b.constant(0, x.dtype)]
            name, dtype = (
                b.node("QLinearConv", x.name, *one, b.constant(small), *ones, *out, **attributes),
                x.dtype,
            )
        b.put(name, (filters, after, after), dtype)
        return
    b.floating()
    inputs = [b.constant(weights, b.current.dtype)]
    if b.chance(0.5):
        inputs.append(b.constant(draw(b.random, (filters,), b.current.dtype, 0.1)))
    b.put(b.node("Conv", b.current.name, *inputs, **attributes), (filters, after, after))


def convolve_otherwise(b: Builder) -> None:
    x = b.floating()
    if not x.is_plane or x.shape[1] != x.shape[2] or x.dtype != "float32":
        return
    kind = b.pick("transposed", "line", "space")
    if kind == "transposed":
        stride, pad, more = b.pick(1, 2), b.pick(0, 1), b.pick(0, 0, 1)
        weights = kernel(b.random, x.shape[0], 2, 3).astype(np.float32)
        after = (x.shape[1] - 1) * stride + 3 - 2 * pad + min(more, stride - 1)
        name = b.node(
            "ConvTranspose",
            x.name,
            b.constant(weights),
            strides=[stride] * 2,
            pads=[pad] * 4,
            output_padding=[min(more, stride - 1)] * 2,
        )
        b.put(name, (2, after, after))
    elif kind == "line":
        name = b.node("Reshape", x.name, b.constant([0, x.shape[0], -1], "int64"))
        name = (
            b.node(b.pick("ReduceMax", "ReduceMean"), name, axes=[2], keepdims=0)
            if b.opset < 18
            else b.node("ReduceMax", name, b.constant([2], "int64"), keepdims=0)
        )
        name = b.node("Reshape", name, b.constant([0, 1, -1], "int64"))
        weights = b.random.integers(-2, 3, (1, 1, 3)).astype(np.float32)
        b.put(b.node("Conv", name, b.constant(weights), pads=[1, 1]), (1, x.shape[0]))
    else:
        weights = kernel(b.random, 2, 1, 3).astype(np.float32)[:, :, None]
        name = b.node("Reshape", x.name, b.constant([0, 1, *x.shape], "int64"))
        b.put(
            b.node("Conv", name, b.constant(weights)),
            (2, x.shape[0], x.shape[1] - 2, x.shape[1] - 2),
        )


def pool(b: Builder) -> None:
    x = b.current
    op = b.pick("MaxPool", "MaxPool", "AveragePool", "LpPool")
    if not x.is_plane or x.shape[1] != x.shape[2]:
        return
    if op != "MaxPool" or x.dtype not in ("uint8", "int8") or b.opset < 12:
        x = b.floating()
    side = b.pick(1, 2, 3)
    found = window(b, x.shape[1], side)
    if found is None:
        return
    attributes, after = found
    attributes["kernel_shape"] = [side] * 2
    since = {"AveragePool": 19, "LpPool": 18, "MaxPool": 10}[op]
    if b.opset < since and attributes.pop("dilations") != [1, 1]:
        return
    if op == "AveragePool":
        attributes["count_include_pad"] = b.pick(0, 1)
    if b.chance(0.1) and op != "LpPool" and b.opset >= 10:
        attributes["ceil_mode"] = 1
    b.put(b.node(op, x.name, **attributes), (x.shape[0], after, after))
