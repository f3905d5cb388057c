"""What is computed of shapes, and of constants alone."""

import numpy as np
from onnx import TensorProto, helper, numpy_helper

from tests.audit.fuzz.builder import Builder
from tests.audit.fuzz.values import draw


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
