"""One entry of many, and each entry together with the others along an axis."""

import numpy as np

from tests.audit.fuzz.builder import Builder
from tests.audit.fuzz.values import draw

REDUCING = ["L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare"]


def reduce(b: Builder) -> None:
    x = b.current
    op = "Reduce" + b.pick(*REDUCING)
    if x.dtype not in ("int32", "int64") or op not in (
        "ReduceMax",
        "ReduceSum",
        "ReduceMin",
        "ReduceProd",
        "ReduceMean",
    ):
        x = b.floating()
    rank = len(x.shape) + 1
    axes = b.pick([1], list(range(1, rank)), [rank - 1], list(range(2, rank)) or [1])
    keep = b.pick(0, 1)
    since = 13 if op == "ReduceSum" else 18
    if b.opset < since:
        name = b.node(op, x.name, axes=axes, keepdims=keep)
    else:
        name = b.node(op, x.name, b.constant(axes, "int64"), keepdims=keep)
    kept = [side for axis, side in enumerate(x.shape, 1) if axis not in axes]
    all_of_them = [1 if axis in axes else side for axis, side in enumerate(x.shape, 1)]
    b.put(name, tuple(all_of_them if keep else kept))


def whole(b: Builder) -> None:
    x = b.floating()
    if x.is_plane:
        op = b.pick("GlobalMaxPool", "GlobalAveragePool", "GlobalLpPool")
        b.put(b.node(op, x.name), (x.shape[0], 1, 1))


def normalise(b: Builder) -> None:
    x = b.floating()
    op = b.pick(
        "Softmax",
        "LogSoftmax",
        "LpNormalization",
        "InstanceNormalization",
        "GroupNormalization",
        "BatchNormalization",
        "LayerNormalization",
        "ArgMax",
        "ArgMin",
        "TopK",
    )
    rank = len(x.shape) + 1
    axis = b.pick(*range(1, rank), -1) if x.shape else 1
    if not x.shape:
        return
    if op in ("Softmax", "LogSoftmax", "LpNormalization"):
        b.put(b.node(op, x.name, axis=axis))
    elif op == "InstanceNormalization" and x.is_plane:
        given = [b.constant(draw(b.random, (x.shape[0],), x.dtype, 0)) for _ in range(2)]
        b.put(b.node(op, x.name, *given))
    elif op == "GroupNormalization" and x.is_plane and b.opset >= 21:
        given = [b.constant(draw(b.random, (x.shape[0],), x.dtype, 0)) for _ in range(2)]
        groups = b.pick(*(count for count in (1, 2, 4) if x.shape[0] % count == 0))
        b.put(b.node(op, x.name, *given, num_groups=groups))
    elif op == "BatchNormalization" and x.is_plane:
        given = [draw(b.random, (x.shape[0],), x.dtype, 0) for _ in range(3)]
        given.append(np.abs(draw(b.random, (x.shape[0],), x.dtype, 0)) + 1)
        b.put(b.node(op, x.name, *[b.constant(v.astype(x.dtype)) for v in given]))
    elif op == "LayerNormalization":
        b.put(b.node(op, x.name, b.constant(np.ones(x.shape[-1]), x.dtype), axis=-1))
    elif op in ("ArgMax", "ArgMin"):
        shape = list(x.shape)
        shape[axis - 1 if axis > 0 else -1] = 1
        b.put(b.node(op, x.name, axis=axis), tuple(shape), "int64")
    elif op == "TopK" and b.opset >= 10:
        shape = list(x.shape)
        shape[axis - 1 if axis > 0 else -1] = 1
        b.put(b.node(op, x.name, b.constant([1], "int64"), outputs=2, axis=axis), tuple(shape))
