"""Traps with quantisation: any operator between DequantizeLinear and QuantizeLinear."""

import numpy as np
import onnx

from tests.audit.fuzz.traps.sketch import Chooser, reduced, sketch

_BETWEEN = (
    *("GlobalAveragePool(d)", "AveragePool<kernel_shape = [2, 2]>(d)", "Conv(d, e)", "Conv(d, W)"),
    *(
        "ReduceMean<axes = [2, 3]>(d)",
        "Softmax<axis = 1>(d)",
        "Sigmoid(d)",
        "MaxPool<kernel_shape = [2, 2]>(d)",
        "Relu(d)",
        "Add(d, d)",
        "Mul(d, d)",
        "MatMul(d, v)",
        'Resize<mode = "linear">(d, , TWICE)',
        "InstanceNormalization(d, I, I)",
        "LpPool<kernel_shape = [2, 2]>(d)",
        "ReduceSum<keepdims = 1>(d, AXES)",
        "Conv(d, e, b)",
        "Gemm(f, g)",
    ),
)


def quantised_groups(c: Chooser) -> onnx.ModelProto:
    """Dequantise, do something, and quantise."""
    between = c.pick(*_BETWEEN)
    side = c.pick(2, 3)
    scale = c.pick(1 / 255, 0.1, 0.037, 1.0, 0.5)
    raw = c.random.integers(-3, 4, (1, 1, side, side))
    taps = np.asarray(sum(np.rot90(raw, k, (2, 3)) for k in range(4)), np.int8)
    taps = taps * np.int8(c.pick(1, 1, 10))
    image = c.pick("float[N,1,6,6]", "uint8[N,1,6,6]")
    first = (
        "q = Identity(image) " if image.startswith("uint8") else "q = QuantizeLinear(image, s, z) "
    )
    body = (
        f"{first} d = DequantizeLinear(q, s, {c.pick('z', 'z', 'z', 'z3')}) "
        f"e = DequantizeLinear(w, s) b = DequantizeLinear(bi, s) f = Flatten(d) "
        f"g = DequantizeLinear(wg, s) v = DequantizeLinear(wv, s) "
        f"r = {between} "
    )
    name = "r"
    if c.chance(0.3):
        body += f"a = {c.pick('Relu(r)', 'Clip(r, LO, HI)', 'Neg(r)')} "
        name = "a"
    if c.chance(0.2):
        body += f"p = QuantizeLinear({name}, s2, z4) o = DequantizeLinear(p, s2, z5) "
        name = "o"
    if "f, g" in between:
        body += f"q1 = QuantizeLinear({name}, s2, z2) d1 = DequantizeLinear(q1, s2, z2) "
        body += "m = Unsqueeze(d1, AXES) "
    else:
        body += f"q1 = QuantizeLinear({name}, s2, z2) m = DequantizeLinear(q1, s2, z2) "
    sides = c.pick((), (), (1,))
    signed = c.pick(0, 0, 3)
    return sketch(
        body + reduced(c.pick("ReduceMax", "ReduceMin"), "m", 17),
        image,
        s=np.full(c.pick((), (), (1,)), scale, np.float32),
        z=np.uint8(c.pick(0, 0, 128)),
        z3=np.uint8(c.pick(1, 100)),
        z4=np.full(sides, signed, np.int8),
        z5=np.full(sides, c.pick(signed, signed, 5), np.int8),
        s2=np.full(sides, c.pick(scale, scale, scale * 3, 1.0), np.float32),
        z2=np.full(sides, c.pick(0, 0, 100), np.uint8),
        w=taps,
        wg=np.full((36, 2), c.pick(1, 3, 5), np.int8),
        wv=np.full((6, 2), c.pick(1, 3), np.int8),
        bi=np.array([c.pick(0, 7)], np.int32),
        W=np.asarray(taps, np.float32) * np.float32(0.1),
        I=np.ones(1, np.float32),
        AXES=np.array([2, 3]),
        TWICE=np.array([1, 1, 2, 2], np.float32),
        LO=np.float32(c.pick(0, -1)),
        HI=np.float32(c.pick(1, 6)),
    )


def large_products(c: Chooser) -> onnx.ModelProto:
    """Sum products of bytes that are as large as they can be, or beside padding that is."""
    small = c.chance(0.3)
    name = "u" if small else "image"
    pads = c.pick("", "<pads = [1, 1, 1, 1]>")
    op = c.pick(
        "ConvInteger{pads}({x}, W, X, Y)", "ConvInteger{pads}({x}, W)", "MatMulInteger(f, V)"
    )
    op = c.pick(op, op, "QLinearConv{pads}({x}, S, X, W, S, Y, T, X)")
    op = op.format(pads=pads, x=name)
    sign = c.pick(np.int8, np.uint8)
    value = c.pick(127, 127, 100, 3)
    weights = np.full((1, 1, 2, 2), value, sign)
    if sign is np.int8 and c.chance(0.3):
        weights = weights - np.int8(100)
    body = f"u = Min(image, FEW) f = Flatten(image) p = {op} "
    body += "p4 = Unsqueeze(p, AXES) " if "MatMul" in op else "p4 = Identity(p) "
    image = c.pick("uint8[N,1,5,5]", "uint8[N,1,6,6]", "int8[N,1,4,4]")
    return sketch(
        body + "m = Cast<to = 1>(p4) " + reduced(c.pick("ReduceSum", "ReduceMax"), "m", 17),
        image,
        FEW=np.array(c.pick(1, 60), np.uint8 if image.startswith("u") else np.int8),
        W=weights,
        V=np.full((25, 2), value, sign),
        X=np.uint8(c.pick(0, 128, 255)),
        Y=np.array(c.pick(0, 1, 127), sign),
        S=np.float32(0.1),
        T=np.float32(c.pick(0.1, 10.0)),
        AXES=np.array([2, 3]),
    )
