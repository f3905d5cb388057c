"""Matrix products."""

import numpy as np

from tests.audit.fuzz.builder import Builder


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
