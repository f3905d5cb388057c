"""Casts between types, and quantisation."""

import numpy as np
from onnx import TensorProto

from tests.audit.fuzz.builder import Builder
from tests.audit.fuzz.values import kernel

INTEGRAL = {"uint8": TensorProto.UINT8, "int8": TensorProto.INT8, "int32": TensorProto.INT32}
INTEGRAL |= {"int64": TensorProto.INT64, "uint32": TensorProto.UINT32}


def cast(b: Builder) -> None:
    target = b.pick(*INTEGRAL, "float16", "float64", "float32", "bfloat16", "bool")
    kinds = {"float16": 10, "float64": 11, "float32": 1, "bfloat16": 16, "bool": 9}
    if target in ("bool", "bfloat16"):
        name = b.node("Cast", b.current.name, to=kinds[target])
        b.put(b.node("Cast", name, to=TensorProto.FLOAT), dtype="float32")
    else:
        b.put(b.node("Cast", b.current.name, to={**INTEGRAL, **kinds}[target]), dtype=target)


def quantise(b: Builder) -> None:
    x = b.floating()
    if x.dtype != "float32":
        return
    zero_type = b.pick("uint8", "int8")
    scale, zero = (
        b.constant(b.pick(1, 0.5, 0.1, 1 / 255), "float32"),
        b.constant(b.pick(0, 3), zero_type),
    )
    name = b.node("QuantizeLinear", x.name, scale, zero)
    if b.chance(0.5):
        name = b.node("DequantizeLinear", name, scale, zero)
        inner = b.pick("GlobalAveragePool", "Relu", "Softmax", "MaxPool", "Sigmoid")
        if x.is_plane and inner.endswith("Pool"):
            extra = {"kernel_shape": [2, 2]} if inner == "MaxPool" else {}
            name = b.node(inner, name, **extra)
            name = b.node("QuantizeLinear", name, scale, zero)
            side = x.shape[1] - 1 if inner == "MaxPool" else 1
            b.put(b.node("DequantizeLinear", name, scale, zero), (x.shape[0], side, side))
            return
    else:
        name = b.node("DequantizeLinear", name, scale, zero)
    b.put(name)


def dequantised(b: Builder) -> None:
    """A convolution between DequantizeLinear and QuantizeLinear, as quantisers write it."""
    x = b.current
    if x.dtype not in ("uint8", "int8") or not x.is_plane or x.shape[1] < 3:
        return
    scale, zero = b.constant(0.1, "float32"), b.constant(0, x.dtype)
    weights = b.constant(np.clip(kernel(b.random, 2, x.shape[0], 3), -50, 50), "int8")
    first = b.node("DequantizeLinear", x.name, scale, zero)
    second = b.node("DequantizeLinear", weights, b.constant(0.5, "float32"))
    name = b.node("Conv", first, second)
    out, shift = b.constant(b.pick(0.05, 1.0), "float32"), b.constant(0, x.dtype)
    if b.chance(0.3):
        name = b.node("Relu", name)
    name = b.node("QuantizeLinear", name, out, shift)
    side = x.shape[1] - 2
    b.put(b.node("DequantizeLinear", name, out, shift), (2, side, x.shape[2] - 2), "float32")
