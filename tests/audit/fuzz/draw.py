"""Drawing a graph from a seed."""

import numpy as np
import onnx

from tests.audit.fuzz.builder import Builder
from tests.audit.fuzz.pieces import PIECES

_TYPES = ["uint8"] * 5 + ["float32"] * 3 + ["int8", "int32", "float64", "float16"]

NEWEST = 23
"""The newest version of the operators that is drawn: what onnxruntime runs."""


def draw_graph(seed: int) -> onnx.ModelProto:
    """Draw a graph; the same seed gives the same graph."""
    random = np.random.default_rng(seed)
    b = Builder(
        random,
        opset=int(random.integers(9, NEWEST + 1)) if random.random() < 0.6 else 17,
        size=int(random.integers(3, 7)),
        channels=int(random.integers(1, 4)),
        batch=None if random.random() < 0.8 else 2,
        dtype=str(random.choice(_TYPES)),
    )
    for _ in range(int(random.integers(1, 6))):
        _add(b)
        if b.chance(0.03):
            b.outputs.append(b.current.name)
    _conclude(b)
    return b.model()


def _add(b: Builder) -> None:
    """Add a piece, or nothing where the one that was drawn does not fit what is in hand."""
    before = b.current
    try:
        if before.shape:
            b.pick(*PIECES)(b)
    except (IndexError, ValueError):
        b.current = before
    if any(side < 1 for side in b.current.shape):
        b.current = before


def _conclude(b: Builder) -> None:
    """Reduce what is in hand, so that many graphs are invariant."""
    x = b.current
    if x.shape and b.chance(0.9):
        if x.dtype not in ("float32", "float64", "int32", "int64"):
            x = b.floating()
        op = b.pick("ReduceMax", "ReduceSum", "ReduceMean", "ReduceMin")
        axes = list(range(1, len(x.shape) + 1))
        if (op != "ReduceSum" and b.opset >= 18) or (op == "ReduceSum" and b.opset >= 13):
            name = b.node(op, x.name, b.constant(axes, "int64"), keepdims=0)
        else:
            name = b.node(op, x.name, axes=axes, keepdims=0)
        b.put(name, ())
    b.outputs.append(b.current.name)
