"""Entries that change places, and planes that change their size."""

import numpy as np

from tests.audit.fuzz.builder import Builder


def move(b: Builder) -> None:
    x = b.current
    rank = len(x.shape) + 1
    kind = b.pick(
        "flip",
        "transpose",
        "flatten",
        "reshape",
        "squeeze",
        "cut",
        "concat",
        "gather",
        "split",
        "tile",
        "pad",
        "expand",
        "shuffle",
    )
    if kind == "flip" and x.is_plane:
        last = b.pick(-(2**62), -100, 0)
        names = [
            b.constant(v, "int64")
            for v in ([b.pick(-1, 100, -100)], [last], [b.pick(2, 3, -1)], [-1])
        ]
        if b.opset >= 10 and last < -50:
            b.put(b.node("Slice", x.name, *names))
    elif kind == "transpose" and x.is_plane:
        perm = b.pick([0, 1, 3, 2], [0, 1, 2, 3], [0, 2, 3, 1])
        shape = tuple(x.shape[axis - 1] for axis in perm[1:])
        b.put(b.node("Transpose", x.name, perm=perm), shape)
    elif kind == "flatten":
        b.put(b.node("Flatten", x.name), (int(np.prod(x.shape)),))
    elif kind == "reshape" and x.is_plane:
        target = b.pick(
            [0, x.shape[0], -1],
            [-1, x.shape[0], x.shape[1] * x.shape[2]],
            [0, 0, -1],
            [1, x.shape[0], -1],
        )
        b.put(
            b.node("Reshape", x.name, b.constant(target, "int64")),
            (x.shape[0], x.shape[1] * x.shape[2]),
        )
    elif kind == "squeeze":
        axis = b.pick(*range(1, rank + 1))
        axes = {"axes": [axis]} if b.opset < 13 else {}
        more = [] if axes else [b.constant([axis], "int64")]
        name = b.node("Unsqueeze", x.name, *more, **axes)
        if b.chance(0.6):
            b.put(b.node("Squeeze", name, *more, **axes))
        else:
            b.put(name, (*x.shape[: axis - 1], 1, *x.shape[axis - 1 :]))
    elif kind == "cut" and b.opset >= 10:
        axis = b.pick(*range(1, rank))
        side = x.shape[axis - 1]
        start, end = int(b.random.integers(0, side)), side
        names = [b.constant([v], "int64") for v in (start, end, axis)]
        shape = list(x.shape)
        shape[axis - 1] = side - start
        b.put(b.node("Slice", x.name, *names), tuple(shape))
    elif kind == "concat":
        axis = b.pick(*range(1, rank))
        shape = list(x.shape)
        shape[axis - 1] *= 2
        b.put(b.node("Concat", x.name, x.name, axis=axis), tuple(shape))
    elif kind == "gather":
        axis = b.pick(*range(1, rank))
        order = b.random.permutation(x.shape[axis - 1])
        b.put(b.node("Gather", x.name, b.constant(order), axis=axis))
    elif kind == "split" and x.shape[0] % 2 == 0:
        b.put(
            b.node(
                "Split", x.name, outputs=2, axis=1, **({"num_outputs": 2} if b.opset >= 18 else {})
            ),
            (x.shape[0] // 2, *x.shape[1:]),
        )
    elif kind == "tile":
        b.put(
            b.node("Tile", x.name, b.constant([1] * (rank - 1) + [2], "int64")),
            (*x.shape[:-1], x.shape[-1] * 2),
        )
    elif (
        kind == "pad"
        and x.is_plane
        and b.opset >= 11
        and x.dtype in ("float32", "float64", "int32", "uint8")
    ):
        pads = b.pick([0, 0, 1, 1, 0, 0, 1, 1], [0, 0, 1, 1, 0, 0, 1, 1], [0, 0, 1, 0, 0, 0, 0, 1])
        mode = b.pick("constant", "reflect", "edge")
        shape = (x.shape[0], x.shape[1] + pads[2] + pads[6], x.shape[2] + pads[3] + pads[7])
        b.put(b.node("Pad", x.name, b.constant(pads, "int64"), mode=mode), shape)
    elif kind == "expand":
        b.put(b.node("Expand", x.name, b.constant([1] * rank, "int64")))
    elif kind == "shuffle" and x.is_plane:
        if x.shape[0] % 4 == 0:
            b.put(
                b.node("DepthToSpace", x.name, blocksize=2),
                (x.shape[0] // 4, x.shape[1] * 2, x.shape[2] * 2),
            )
        elif x.shape[1] % 2 == 0 and x.shape[2] % 2 == 0:
            b.put(
                b.node("SpaceToDepth", x.name, blocksize=2),
                (x.shape[0] * 4, x.shape[1] // 2, x.shape[2] // 2),
            )


def resize(b: Builder) -> None:
    x = b.current
    if not x.is_plane or max(x.shape[1:]) > 8:
        return
    if b.chance(0.7):
        x = b.floating()
    factor = b.pick(2, 2, 3, 1.5)
    after = tuple(int(side * factor) for side in x.shape[1:])
    scales = b.constant([1, 1, factor, factor], "float32")
    mode = b.pick("nearest", "linear", "cubic")
    if b.opset >= 11:
        placing = b.pick("half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel")
        name = b.node(
            "Resize",
            x.name,
            "",
            scales,
            mode=mode,
            coordinate_transformation_mode=placing,
            **({"nearest_mode": "floor"} if mode == "nearest" else {}),
        )
    else:
        op = "Upsample" if b.opset == 9 else "Resize"
        name = b.node(op, x.name, scales, mode="nearest" if mode == "cubic" else mode)
    b.put(name, (x.shape[0], *after))
