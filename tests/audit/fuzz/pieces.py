"""What a graph is made of: a node or a few, over every operator that the proof has a record of."""

from collections.abc import Callable
from typing import Any

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.audit.fuzz.builder import Builder
from tests.audit.fuzz.values import draw, kernel

Piece = Callable[[Builder], None]

UNARY = (
    *("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Celu", "Clip", "Cos"),
    *("Cosh", "Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu"),
    *("Log", "Mish", "Neg", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign"),
    *("Sin", "Sinh", "Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu"),
    *("Identity", "Dropout"),
)
BINARY = ["Add", "Sub", "Mul", "Div", "Max", "Min", "Mean", "Sum", "Pow", "PRelu", "Mod"]
COMPARING = ["Equal", "Greater", "GreaterOrEqual", "Less", "LessOrEqual"]
BITWISE = ["BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot", "BitShift"]
LOGIC = ["And", "Or", "Xor", "Not"]
REDUCING = ["L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare"]
INTEGRAL = {"uint8": TensorProto.UINT8, "int8": TensorProto.INT8, "int32": TensorProto.INT32}
INTEGRAL |= {"int64": TensorProto.INT64, "uint32": TensorProto.UINT32}


def unary(b: Builder) -> None:
    b.floating()
    b.put(b.node(b.pick(*UNARY), b.current.name))


def clip(b: Builder) -> None:
    x = b.floating()
    ends = [b.constant(b.pick(-2, -0.0, 0, 6, 255), x.dtype) for _ in range(2)]
    ends[int(b.random.integers(2))] = "" if b.chance(0.3) else ends[1]
    if b.opset >= 11:
        b.put(b.node("Clip", x.name, *ends))


def binary(b: Builder) -> None:
    x, op = b.current, b.pick(*BINARY)
    if op in ("Mean", "Sum", "PRelu", "Pow") or b.chance(0.6):
        x = b.floating()
    shape = b.pick((), (1,), (1, *[1] * len(x.shape)), (1, *x.shape))
    other = b.constant(draw(b.random, shape, x.dtype, 0.25)) if b.chance(0.7) else x.name
    if other != x.name and op == "Pow":
        other = b.constant(b.pick(2, 3, 0.5, -1), x.dtype)
    names = [x.name, other]
    if op not in ("PRelu", "Pow") and b.chance(0.3):
        names.reverse()
    if op in ("Mean", "Sum", "Max", "Min") and b.chance(0.3):
        names.append(x.name)
    attributes = {"fmod": 1} if op == "Mod" and x.dtype.startswith("float") else {}
    b.put(b.node(op, *names, **attributes))


def compare(b: Builder) -> None:
    x = b.floating()
    other = b.constant(draw(b.random, (), x.dtype, 0.2))
    truth = b.node(b.pick(*COMPARING), x.name, other)
    if b.chance(0.4):
        more = b.node("Less", x.name, b.constant(2, x.dtype))
        op = b.pick(*LOGIC)
        truth = b.node(op, truth) if op == "Not" else b.node(op, truth, more)
    if b.chance(0.5):
        b.put(b.node("Where", truth, x.name, b.constant(b.pick(0, -0.0, 1), x.dtype)))
    else:
        b.put(b.node("Cast", truth, to=TensorProto.FLOAT), dtype="float32")


def special(b: Builder) -> None:
    x = b.floating()
    truth = b.node(b.pick("IsNaN", "IsInf"), x.name)
    b.put(b.node("Cast", truth, to=TensorProto.FLOAT), dtype="float32")


def bits(b: Builder) -> None:
    if b.current.dtype not in ("uint8", "int32"):
        return
    x, op = b.current, b.pick(*BITWISE)
    if op == "BitwiseNot":
        b.put(b.node(op, x.name))
    elif op == "BitShift" and x.dtype == "uint8":
        b.put(b.node(op, x.name, b.constant(1, "uint8"), direction=b.pick("LEFT", "RIGHT")))
    elif op != "BitShift":
        b.put(
            b.node(op, x.name, b.constant(b.pick(1, 6, 255 if x.dtype == "uint8" else -1), x.dtype))
        )


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


def multiply(b: Builder) -> None:
    x = b.current
    kind = b.pick("Gemm", "MatMul", "rows", "einsum", "two", "integer", "qlinear")
    if kind in ("integer", "qlinear") and x.dtype in ("uint8", "int8"):
        b.put(b.node("Flatten", x.name), (int(np.prod(x.shape)),))
        value = b.pick(np.ones, np.zeros)((b.current.shape[0], 2))
        weights = b.constant(value, "int8")
        if kind == "integer":
            b.put(b.node("MatMulInteger", b.current.name, weights), (2,), "int32")
        else:
            pair = [b.constant(1, "float32"), b.constant(0, x.dtype)]
            other = [b.constant(1, "float32"), b.constant(0, "int8")]
            b.put(
                b.node(
                    "QLinearMatMul",
                    b.current.name,
                    *pair,
                    weights,
                    *other,
                    b.constant(64, "float32"),
                    b.constant(0, x.dtype),
                ),
                (2,),
            )
        return
    x = b.floating()
    if kind in ("Gemm", "MatMul"):
        b.put(b.node("Flatten", x.name), (int(np.prod(x.shape)),))
        weights = np.repeat(b.random.integers(-2, 3, (1, 3)), b.current.shape[0], axis=0)
        if b.chance(0.3):
            weights = b.random.integers(-2, 3, weights.shape)
        extra = {"alpha": b.pick(1.0, -1.0, 0.5)} if kind == "Gemm" else {}
        b.put(b.node(kind, b.current.name, b.constant(weights, x.dtype), **extra), (3,))
    elif kind == "rows" and len(x.shape) > 1:
        weights = b.constant(np.full((x.shape[-1], 2), b.random.integers(-2, 3)), x.dtype)
        b.put(b.node("MatMul", x.name, weights), (*x.shape[:-1], 2))
    elif kind == "two" and x.is_plane and x.shape[1] == x.shape[2]:
        b.put(b.node("MatMul", x.name, x.name))
    elif kind == "einsum" and x.is_plane and b.opset >= 12:
        equation, shape = b.pick(
            ("ncij,ndij->ncd", (x.shape[0],) * 2),
            ("ncij->ncji", (x.shape[0], x.shape[2], x.shape[1])),
            ("ncij->nc", (x.shape[0],)),
        )
        count = equation.count(",") + 1
        b.put(b.node("Einsum", *[x.name] * count, equation=equation), shape)


def measure(b: Builder) -> None:
    """Compute with the shape."""
    x = b.current
    shape = b.node("Shape", x.name)
    kind = b.pick("batch", "pixels", "reshape", "expand", "size", "slice")
    place = b.constant([0 if kind in ("batch", "slice") else 1], "int64")
    one = b.node("Gather", shape, place, axis=0)
    if kind == "slice" and len(x.shape) == 1 and b.opset >= 10:
        zero, axis = b.constant([0], "int64"), b.constant([1], "int64")
        b.put(b.node("Slice", x.name, zero, one, axis), x.shape)
    elif kind in ("batch", "pixels"):
        x = b.floating()
        value = b.node("Cast", one, to=helper.np_dtype_to_tensor_dtype(np.dtype(x.dtype)))
        b.put(b.node(b.pick("Mul", "Add", "Min"), x.name, value))
    elif kind == "reshape":
        rest = b.constant([-1], "int64")
        zero = b.node("Gather", shape, b.constant([0], "int64"), axis=0)
        b.put(
            b.node("Reshape", x.name, b.node("Concat", zero, rest, axis=0)),
            (int(np.prod(x.shape)),),
        )
    elif kind == "expand" and x.dtype == "float32":
        b.put(
            b.node(
                "Add",
                x.name,
                b.node(
                    "ConstantOfShape", shape, value=numpy_helper.from_array(np.ones(1, np.float32))
                ),
            )
        )
    elif kind == "size":
        x = b.floating()
        value = b.node(
            "Cast",
            b.node("Size", b.constant(np.zeros((2, 3)), "float32")),
            to=helper.np_dtype_to_tensor_dtype(np.dtype(x.dtype)),
        )
        b.put(b.node("Div", x.name, value))


def compute(b: Builder) -> None:
    """Compute a constant from constants."""
    x = b.floating()
    if x.dtype != "float32" or b.opset < 11:
        return
    kind = b.pick("slice", "cast", "range", "eye", "sum")
    if kind == "slice":
        values = b.constant(b.random.integers(0, x.shape[0], 4), "int64")
        ends = [b.constant([v], "int64") for v in (b.pick(-1, -100, 100), -(2**62), 0, -1)]
        b.put(b.node("Gather", x.name, b.node("Slice", values, *ends), axis=1), (4, *x.shape[1:]))
        if not b.chance(0.5):
            b.put(
                b.node("ReduceMax", b.current.name, **({"axes": [1]} if b.opset < 18 else {}))
                if b.opset < 18
                else b.current.name,
                (1, *x.shape[1:]) if b.opset < 18 else b.current.shape,
            )
        return
    if kind == "cast":
        name = b.node(
            "Cast", b.constant([b.pick(1.5, 300.0, -1.0, 3e9)], "float32"), to=TensorProto.INT32
        )
        name = b.node("Cast", name, to=TensorProto.FLOAT)
    elif kind == "range":
        name = b.node(
            "Range", *[b.constant(v, "int64") for v in (0, x.shape[-1] if x.shape else 1, 1)]
        )
        name = b.node("Cast", name, to=TensorProto.FLOAT)
    elif kind == "eye":
        side = x.shape[-1] if x.shape else 1
        name = b.node("EyeLike", b.constant(np.zeros((side, side)), "float32"))
        if len(x.shape) < 2 or x.shape[-2] != side:
            return
    else:
        name = b.node(
            b.pick("Add", "Mul", "Div", "Max"),
            b.constant(draw(b.random, (1,), "float32", 0.3)),
            b.constant([3], "float32"),
        )
    b.put(b.node(b.pick("Add", "Mul"), x.name, name))


def call(b: Builder) -> None:
    """Call a function of the model's own, with a default value or without."""
    x = b.floating()
    if not x.is_plane or x.shape[1] != x.shape[2] or x.shape[1] < 3:
        return
    name = f"F{len(b.functions)}"
    node = helper.make_node("MaxPool", ["X"], ["Y"], kernel_shape=[2, 2])
    strides = node.attribute.add(name="strides", ref_attr_name="strides", type=7)
    del strides
    default = helper.make_attribute("strides", b.pick([1, 1], [2, 2]))
    function = helper.make_function(
        "own", name, ["X"], ["Y"], [node], [helper.make_opsetid("", b.opset)], [], [default]
    )
    b.functions.append(function)
    given = b.chance(0.5)
    stride = b.pick(1, 2) if given else default.ints[0]
    out = b.node(name, x.name, domain="own", **({"strides": [stride] * 2} if given else {}))
    after = (x.shape[1] - 2) // stride + 1
    b.put(out, (x.shape[0], after, after))


def rotated(b: Builder, name: str) -> str:
    """Rotate by a quarter, exactly."""
    name = b.node("Transpose", name, perm=[0, 1, 3, 2])
    names = [b.constant([v], "int64") for v in (-1, -(2**62), 2, -1)]
    return b.node("Slice", name, *names)


def orbit(b: Builder) -> None:
    """Do the same to four rotated copies, or to three of them, and put the answers together."""
    x = b.floating()
    if not x.is_plane or x.shape[1] != x.shape[2] or b.opset < 10 or x.dtype != "float32":
        return
    weights = b.constant(b.random.integers(-2, 3, (2, x.shape[0], 2, 2)), "float32")
    pad = b.pick([0] * 4, [1, 0, 0, 1])
    together = b.pick("sum", "max", "cat", "stack", "mul")
    copies, name = [], x.name
    for _ in range(4):
        copies.append(name)
        name = rotated(b, name)
    if b.chance(0.15):
        copies[3] = copies[0]
    if together == "cat":
        joined = b.node("Conv", b.node("Concat", *copies, axis=0), weights, pads=pad)
        joined = b.node("Flatten", b.node("GlobalMaxPool", joined))
        rows = b.node("Reshape", joined, b.constant([4, -1, 2], "int64"))
        op = b.pick("ReduceMax", "ReduceMean", "ReduceMin")
        last = (
            b.node(op, rows, axes=[0], keepdims=0)
            if b.opset < 18
            else b.node(op, rows, b.constant([0], "int64"), keepdims=0)
        )
        b.put(last, (2,))
        return
    answers = [
        b.node("Flatten", b.node("GlobalMaxPool", b.node("Conv", copy, weights, pads=pad)))
        for copy in copies
    ]
    if together == "stack":
        axes = {"axes": [0]} if b.opset < 13 else {}
        more = [] if axes else [b.constant([0], "int64")]
        rows = b.node("Concat", *[b.node("Unsqueeze", a, *more, **axes) for a in answers], axis=0)
        op = b.pick("ReduceMax", "ReduceMean")
        last = (
            b.node(op, rows, axes=[0], keepdims=0)
            if b.opset < 18
            else b.node(op, rows, b.constant([0], "int64"), keepdims=0)
        )
        b.put(last, (2,))
        return
    op = {"sum": "Add", "max": "Max", "mul": "Mul"}[together]
    total = answers[0]
    for answer in answers[1:]:
        total = b.node(op, total, answer)
    b.put(total, (2,))


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


PIECES: tuple[Piece, ...] = (
    *(unary, unary, clip, binary, binary, compare, special, bits, cast, quantise, move, move, move),
    *(convolve, convolve, convolve_otherwise, pool, pool, reduce, whole, normalise, resize),
    *(multiply, measure, compute, call, orbit, dequantised),
)
