"""Traps with types: constants that floats cannot hold, and types that numpy calls the same."""

from typing import Any

import ml_dtypes
import numpy as np
import onnx
from onnx import helper

from tests.audit.fuzz.traps.sketch import RARE, Chooser, reduced, rotations, sketch

_EDGES = (2**53, 2**24, 2**31 - 1, 2**62, 2**63 - 2, -(2**63), -(2**53) - 1, 2**60 + 1)


def large_integers(c: Chooser) -> onnx.ModelProto:
    """Multiply by integers of which one is another by 1, which floats do not see."""
    value = c.pick(*_EDGES)
    op = c.pick("MatMul", "Mul", "Add", "Equal", "Einsum", "Gemm", "Max", "BitwiseXor", "Where")
    kind, code = c.pick(("int64", 7), ("uint64", 13)) if value > 0 else ("int64", 7)
    broken = c.chance(0.8)
    square = np.full((4, 4), value, kind)
    square[c.number(0, 3), c.number(0, 3)] += np.array(1, kind) * broken
    start = f"x = Cast<to = {code}>(image) "
    end = reduced(c.pick("ReduceMax", "ReduceSum", "ReduceMin"), "m", 18)
    if op == "MatMul":
        body = f"{start} f = Flatten(x) y0 = MatMul(f, W) y = Squeeze(y0, A1)"
        return sketch(
            body, opset=18, outputs=f"{kind}[a] y", W=square.reshape(-1, 1), A1=np.array([1])
        )
    if op == "Gemm":
        body = f"{start} f = Flatten(x) y0 = Gemm<alpha = {c.pick('1.0', '2.0')}>(f, W)"
        body += " y = Squeeze(y0, A1)"
        return sketch(
            body, opset=18, outputs=f"{kind}[a] y", W=square.reshape(-1, 1), A1=np.array([1])
        )
    if op == "Einsum":
        body = f'{start} y = Einsum<equation = "nchw,hw->n">(x, W)'
        return sketch(body, opset=18, outputs=f"{kind}[a] y", W=square)
    made = "Where(b, x, W)" if op == "Where" else f"{op}(x, W)"
    body = f"{start} b = Cast<to = 9>(image) m0 = {made} m = Cast<to = {code}>(m0) {end}"
    if kind == "uint64":  # which no reduction takes
        body = body.replace(f"m = Cast<to = {code}>", "m = Cast<to = 7>")
    return sketch(body, opset=18, outputs="int64[a] y", W=square)


def near_types(c: Chooser) -> onnx.ModelProto:
    """Do to two of four rotated copies what another type makes of the same bits."""
    one, other = c.pick(*RARE), c.pick(*RARE)
    route = c.pick("quantise", "cast", "constant")
    zero: Any = c.pick(0, 1, 3)
    body = rotations()
    scale = np.float32(c.pick(0.05, 0.5, 1.0))
    for k in range(4):
        kind = (one, other)[k % 2]
        if route == "quantise":
            body += f"h{k} = Cast<to = 1>(r{k}) q{k} = QuantizeLinear(h{k}, S, Z{k % 2}) "
            body += f"d{k} = DequantizeLinear(q{k}, S, Z{k % 2}) "
        elif route == "cast":
            code = helper.np_dtype_to_tensor_dtype(np.dtype(kind))
            body += f"h{k} = Cast<to = 1>(r{k}) q{k} = Cast<to = {code}>(h{k}) "
            body += f"d{k} = Cast<to = 1>(q{k}) "
        else:
            body += f"h{k} = Cast<to = 1>(r{k}) w{k} = Cast<to = 1>(Z{k % 2}) "
            body += f"d{k} = Mul(h{k}, w{k}) "
    body += "e0 = Add(d0, d1) e1 = Add(d2, d3) e = Add(e0, e1) "
    corner = np.zeros((1, 1, 4, 4), np.float32)
    corner[0, 0, 0, 1] = 1
    body += "m = Mul(e, MASK) " if c.chance(0.7) else "m = Identity(e) "
    with np.errstate(all="ignore"):
        zeros = [np.array(zero).astype(kind) for kind in (one, other)]
    if route == "quantise":
        zeros = [z if z.dtype.name in ("int4", "uint4") else z * 0 for z in zeros]
    return sketch(
        body + reduced("ReduceMax", "m", 21),
        "float[N,1,4,4]" if c.chance(0.7) else "uint8[N,1,4,4]",
        opset=21,
        S=scale,
        Z0=zeros[0],
        Z1=zeros[1],
        MASK=corner,
    )


def few_bits(c: Chooser) -> onnx.ModelProto:
    """Sum integers in floats that can just hold them, or just not."""
    code, bits = c.pick((1, 24), (10, 11), (11, 53), (16, 8))
    factor = c.pick(1, 2, 3, 2 ** max(bits - 12, 0), 2 ** max(bits - 8, 0), 2 ** (bits // 2))
    op = c.pick("ReduceSum", "ReduceMean", "GlobalAveragePool", "Conv", "MatMul", "AveragePool")
    kind = {1: np.float32, 10: np.float16, 11: np.float64, 16: ml_dtypes.bfloat16}[code]
    start = f"x0 = Cast<to = {code}>(image) x = Mul(x0, F) "
    end = reduced(c.pick("ReduceMax", "ReduceSum"), "m", 18)
    middle = {
        "ReduceSum": "m = Identity(x) ",
        "ReduceMean": "m = ReduceMean(x, AXES) ",
        "GlobalAveragePool": "m = GlobalAveragePool(x) ",
        "AveragePool": "m = AveragePool<kernel_shape = [2, 2]>(x) ",
        "Conv": "m = Conv(x, W) ",
        "MatMul": "m = MatMul(x, V) ",
    }[op]
    return sketch(
        f"{start}{middle}{end}",
        opset=18,
        outputs=f"{ {1: 'float', 10: 'float16', 11: 'double', 16: 'bfloat16'}[code] }[a] y",
        F=np.array(factor).astype(kind),
        W=np.ones((1, 1, 3, 3), kind),
        V=np.ones((4, 2), kind),
        AXES=np.array([2, 3]),
    )


def wide_order(c: Chooser) -> onnx.ModelProto:
    """Compare integers of 64 bits around 2^31 and 2^32, or sum them beyond 2^53."""
    factor = c.pick(1, 2**23, 2**24, 16843009, 2**25, 2**33, 2**45, 2**55)
    shift = c.pick(0, 2**31, 2**31 - 100, 2**32, -(2**31), 2**53, -(2**32))
    op = c.pick(
        *("Clip(m, L, H)", "Sign(m)", "Max(m, H)", "Min(m, H)", "Identity(m)", "Identity(m)"),
        *("Max(m, t)", "Abs(m)", "Neg(m)", "Relu(m)"),
    )
    body = "x = Cast<to = 7>(image) f = Mul(x, F) m = Add(f, S) "
    body += f"t = Transpose<perm = [0, 1, 3, 2]>(m) u = {op} "
    if c.chance(0.15):
        body += 'y = Einsum<equation = "nchw->n">(u)'
    else:
        names = ("ReduceMax", "ReduceMin", "ReduceSum", "ReduceL1", "ReduceProd", "ReduceSumSquare")
        body += reduced(c.pick(*names), "u", 18)
    return sketch(
        body,
        c.pick("uint8[N,1,3,3]", "uint8[N,1,5,5]", "int8[N,1,3,3]", "int32[N,1,3,3]"),
        opset=18,
        outputs="int64[a] y",
        F=np.array(factor),
        S=np.array(shift),
        L=np.array(c.pick(3, -(2**31), 2**31)),
        H=np.array(c.pick(100, 2**31, 2**32, 2**31 - 1)),
    )
