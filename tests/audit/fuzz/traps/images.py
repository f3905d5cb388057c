"""Traps with the images of a batch: axes moved, batches joined, shapes in which they could meet."""

import numpy as np
import onnx

from tests.audit.fuzz.traps.sketch import Chooser, reduced, rotations, sketch


def moved_batches(c: Chooser) -> onnx.ModelProto:
    """Move the batch's axis, do something along axes, and move it back or not."""
    perm = [int(axis) for axis in c.random.permutation(4)]
    back = np.argsort(perm).tolist() if c.chance(0.7) else c.random.permutation(4).tolist()
    axis = c.number(-4, 3)
    made = c.pick(
        f"Softmax<axis = {axis}>(t)",
        "ReduceSum<keepdims = 1>(t, AX)",
        "ReduceMax<keepdims = 1>(t, AX)",
        f"Concat<axis = {axis}>(t, t)",
        f"Gather<axis = {axis}>(t, I)",
        "Slice(t, O, B, AX)",
        f"Flatten<axis = {axis}>(t)",
        "MatMul(t, t)",
        f"LayerNormalization<axis = {axis}>(t, ONE)",
        f"ArgMax<axis = {axis}, keepdims = 1>(t)",
        f"LpNormalization<axis = {axis}, p = 1>(t)",
        "Reshape(t, R)",
        "Add(t, C)",
        "GlobalAveragePool(t)",
        "MaxPool<kernel_shape = [2, 2]>(t)",
        "Relu(t)",
        "Expand(t, E)",
        "Tile(t, T)",
        "Pad(t, P)",
        "CumSum(t, AX)",
        "Unsqueeze(t, AX)",
        'Einsum<equation = "abcd,abcd->abc">(t, t)',
        'Einsum<equation = "abcd->bacd">(t)',
        f"DequantizeLinear<axis = {axis}>(q, D)",
    )
    body = f"x = Cast<to = 1>(image) q = Cast<to = 3>(image) t = Transpose<perm = {perm}>(x) "
    body += f"u = {made} w = Cast<to = 1>(u) v = Transpose<perm = {back}>(w) "
    end = c.pick("y = ReduceSum<keepdims = 0>(v, LAST)", "y = ReduceMax<keepdims = 0>(v, LAST)")
    side = c.pick(2, 3, 4)
    batch = c.pick("N", "N", str(side), "1", "2")
    sides = [int(s) for s in c.random.permutation([0, -1, side, 1])]
    return sketch(
        body + end,
        f"int8[{batch},{c.pick(1, 2, side)},{side},{side}]",
        opset=18,
        AX=np.array([axis]),
        LAST=np.array(c.pick([1, 2, 3], [2, 3], [-1, -2, -3])),
        I=np.array([0]),
        O=np.array([c.pick(0, 1)]),
        B=np.array([c.pick(1, 2, 2**31)]),
        ONE=np.ones(1, np.float32),
        R=np.array(sides),
        C=np.arange(side, dtype=np.float32).reshape(c.pick([-1, 1, 1, 1], [-1, 1, 1], [-1])),
        E=np.array(c.pick([1, 1, 1, 1], [side, 1, 1, 1], [1, 1, 1, side])),
        T=np.array(c.pick([1, 1, 1, 1], [2, 1, 1, 1], [1, 1, 1, 2])),
        P=np.array(c.pick([0] * 8, [1, 0, 0, 0] * 2, [0, 0, 1, 1] * 2)),
        D=np.arange(1, side + 1).astype(np.float32),
    )


def joined_batches(c: Chooser) -> onnx.ModelProto:
    """Join rotated batches, compute, and part them in ways that may mix the images."""
    batch = c.pick("N", "1", "2", "3", "4")
    order = c.pick((0, 1, 2, 3), (0, 1, 2, 3), (0, 0, 2, 2), (0, 1, 2, 2), (3, 1, 0, 2))
    body = rotations() + f"j = Concat<axis = 0>({', '.join(f'r{k}' for k in order)}) "
    body += "x = Cast<to = 1>(j) "
    body += c.pick("c = Identity(x) ", "c = Conv(x, W) ", "c = Mul(x, K) ", "c = Relu(x) ")
    body += c.pick("f = Flatten(c) ", "g = GlobalMaxPool(c) f = Flatten(g) ")
    part = c.pick("reshape", "reshape", "split", "slice", "reduce")
    if part == "reshape":
        body += "p = Reshape(f, R) y = ReduceMax<keepdims = 0>(p, AX) "
    elif part == "split":
        axis = c.pick(0, 0, 1)
        body += f"a, b = Split<axis = {axis}, num_outputs = 2>(f) y = Max(a, b) "
    elif part == "slice":
        body += "a = Slice(f, O, B, ZERO) b = Slice(f, B, E, ZERO) y = Max(a, b) "
    else:
        body += "y = ReduceMax<keepdims = 0>(f, AX) "
    n = c.pick(1, 2, 3, 4)
    return sketch(
        body,
        f"uint8[{batch},1,3,3]",
        opset=18,
        outputs=c.pick("float[a] y", "float[a,b] y", "float[a,b,c] y"),
        W=c.random.integers(-2, 3, (1, 1, 2, 2)).astype(np.float32),
        K=c.random.integers(0, 2, (3, 3)).astype(np.float32),
        R=np.array(
            c.pick([4, -1], [4, -1, 1], [-1, 4], [4, n, -1], [n, 4, -1], [4, -1, 9], [2, -1])
        ),
        AX=np.array([c.pick(0, 0, 1, -1)]),
        O=np.array([0]),
        B=np.array([n]),
        E=np.array([c.pick(2 * n, 2**31)]),
        ZERO=np.array([0]),
    )


def rows_of_images(c: Chooser) -> onnx.ModelProto:
    """Make entries of an image rows, compute, and take them back in ways that may mix."""
    batch = c.pick("N", "N", "N", "1", "2", "4")
    shape = c.pick(
        [-1, 4], [-1, 2, 2], [-1, 2, 4], [-1, 1, 4, 4], [8, -1, 4], [-1, 2, 2, 2], [0, 16]
    )
    last = len(shape) - 1
    lead = c.pick(0, 0, 0, 1)
    perm = [0, *(1 + int(axis) for axis in c.random.permutation(last))]
    perm = perm if c.chance(0.7) else c.random.permutation(last + 1).tolist()
    nodes = []
    copies = [f"r{k}" for k in c.pick((0, 1, 2, 3), (0, 1, 2, 3), (0, 1, 2, 3), (0, 1, 1, 3))]
    steps = [
        c.pick(
            f"Softmax<axis = {c.pick(last, last, lead)}>(IN)",
            f"Transpose<perm = {perm}>(IN)",
            "Mul(IN, K)",
            "Relu(IN)",
            f"LayerNormalization<axis = {last}>(IN, ONE)",
            f"ReduceMax<keepdims = 1>(IN, {c.pick('AXL', 'AXL', 'ZERO')})",
            f"Gather<axis = {c.pick(last, last, lead)}>(IN, ZERO)",
            f"Flatten<axis = {c.pick(1, 1, last)}>(IN)",
            f"Concat<axis = {c.pick(last, last, lead)}>(IN, IN)",
            f"Slice(IN, ZERO, {c.pick('TWO', 'count')}, {c.pick('AXL', 'ZERO')})",
            "Reshape(IN, AGAIN)",
            "BatchNormalization(IN, C, C, C, C)",
        )
        for _ in range(c.number(1, 3))
    ]
    made = c.pick(*[f"Flatten<axis = {a}>(i)" for a in (2, 3)], *["Reshape(i, SHAPE)"] * 5)
    back = c.pick("BACK", "BACK", "BACK", "MIXED")
    for place, copy in enumerate(copies):
        name = f"o{place}_"
        nodes.append(made.replace("(i", f"({copy}").join((f"{name}0 = ", "")))
        for step, text in enumerate(steps):
            nodes.append(f"{name}{step + 1} = " + text.replace("IN", f"{name}{step}"))
        nodes.append(f"{name}b = Reshape({name}{len(steps)}, {back})")
        nodes.append(f"{name}y = ReduceSum<keepdims = 0>({name}b, {c.pick('AX', 'AX', 'LAST')})")
    together = c.pick("Add", "Add", "Max")
    nodes.append(f"u = {together}(o0_y, o1_y) v = {together}(o2_y, o3_y) y = {together}(u, v)")
    start = "x = Cast<to = 1>(image) size = Shape(image) count = Slice(size, ZERO, AXF) "
    return sketch(
        start + rotations("x") + " ".join(nodes),
        f"uint8[{batch},2,4,4]",
        opset=18,
        outputs=c.pick("float[a] y", "float[a,b] y"),
        SHAPE=np.array(shape),
        AGAIN=np.array(c.pick([-1, 2, 2], [-1, 4], [4, -1], [0, -1], [-1, 0])),
        BACK=np.array([-1, 32]),
        MIXED=np.array(c.pick([32, -1], [-1, 16], [-1, 8])),
        K=c.random.integers(1, 4, c.pick((1,), (4,))).astype(np.float32),
        C=np.arange(1, 1 + c.pick(2, 4)).astype(np.float32),
        ONE=np.ones(1, np.float32),
        AX=np.array([1]),
        LAST=np.array([c.pick(-1, 0)]),
        AXL=np.array([last]),
        AXF=np.array([1]),
        ZERO=np.array([0]),
        TWO=np.array([2]),
    )


_ROUNDED = (
    *("ReduceSum<keepdims = 1>(X, AX)", "ReduceMean<keepdims = 1>(X, AX)", "Exp(X)", "Tanh(X)"),
    *("ReduceL2<keepdims = 1>(X, AX)", "InstanceNormalization(X, I, I)", "GlobalAveragePool(X)"),
    *("ReduceLogSumExp<keepdims = 1>(X, AX)", "Softmax<axis = 3>(X)", "Conv(X, W)", "Log(X)"),
    *("MatMul(X, X)", "Softplus(X)", "LpNormalization<axis = 3>(X)", "CumSum(X, LAST)"),
    *('Einsum<equation = "nchw->n">(X)', "LogSoftmax<axis = 3>(X)", "Sin(X)", "Sqrt(X)"),
)


def branches_that_round(c: Chooser) -> onnx.ModelProto:
    """Round something of four rotated copies, each by nodes of its own, and join them."""
    op, kind = c.pick(*_ROUNDED), c.pick("float", "float", "uint8")
    before = c.pick("Identity(X)", "Mul(X, ONE)", "Add(X, NIL)", "Abs(X)", "Mul(X, FEW)")
    body = rotations()
    for k in range(4):
        body += f"c{k} = {'Cast<to = 1>' if kind == 'uint8' else 'Identity'}(r{k}) "
        body += f"b{k} = {before.replace('X', f'c{k}')} z{k} = {op.replace('X', f'b{k}')} "
        body += f"a{k} = Abs(z{k}) "
    body += f"m = {c.pick('Max', 'Max', 'Min', 'Sum')}(a0, a1, a2, a3) "
    side = c.number(3, 9)
    if "Einsum" in op:
        body += "y = Identity(m)"
    else:
        body += reduced(c.pick("ReduceMax", "ReduceMin"), "m", 18)
    return sketch(
        body,
        f"{kind}[{c.pick('N', '1')},1,{side},{side}]",
        opset=18,
        AX=np.array([2, 3]),
        LAST=np.array(3),
        I=np.ones(1, np.float32),
        ONE=np.float32(1),
        NIL=np.float32(0),
        FEW=np.float32(0.37),
        W=c.random.standard_normal((1, 1, 3, 3)).astype(np.float32),
    )
