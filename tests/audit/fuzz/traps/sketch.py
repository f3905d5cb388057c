"""A graph written as text, with constants by name: what traps are made of."""

from typing import Any

import ml_dtypes
import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import numpy_helper

Array = NDArray[Any]

FLIPS = {"M_": np.array([-1]), "END_": np.array([-(2**62)]), "TWO_": np.array([2])}
SUMMED = "AX_ = Constant<value = int64[3] {1, 2, 3}>() "


class Chooser:
    """Random choices from a seed."""

    def __init__(self, random: np.random.Generator) -> None:
        self.random = random

    def pick(self, *choices: Any) -> Any:
        """Draw one of several things."""
        return choices[int(self.random.integers(len(choices)))]

    def chance(self, part: float) -> bool:
        """Draw yes or no."""
        return bool(self.random.random() < part)

    def number(self, low: int, high: int) -> int:
        """Draw an integer, both ends included."""
        return int(self.random.integers(low, high + 1))


def sketch(
    body: str,
    kind: str = "uint8[N,1,4,4]",
    *,
    opset: int = 17,
    outputs: str = "float[a] y",
    functions: str = "",
    own: int = 1,
    **constants: Any,
) -> onnx.ModelProto:
    """Parse a graph with the input ``image``; constants that it does not name are left out."""
    imports = f'"" : {opset}' + (f', "own" : {own}' if functions else "")
    text = (
        f"<ir_version: 10, opset_import: [{imports}]> g ({kind} image) => ({outputs}) "
        f"{{ {body} }} {functions}"
    )
    model = onnx.parser.parse_model(text)
    named = {name for node in model.graph.node for name in node.input}
    for name, value in {**FLIPS, **constants}.items():
        if name in named:
            model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return model


def rotations(name: str = "image") -> str:
    """Write four rotated copies, r0 to r3."""
    text = f"r0 = Identity({name}) "
    for k in range(3):
        text += f"t{k} = Transpose<perm = [0, 1, 3, 2]>(r{k}) "
        text += f"r{k + 1} = Slice(t{k}, M_, END_, TWO_, M_) "
    return text


def reduced(op: str, name: str, opset: int) -> str:
    """Write a reduction over everything but the batch, ending in ``y``."""
    since = 13 if op == "ReduceSum" else 18
    if opset >= since:
        return f"{SUMMED} y = {op}<keepdims = 0>({name}, AX_)"
    return f"y = {op}<axes = [1, 2, 3], keepdims = 0>({name})"


RARE = (
    *(ml_dtypes.int4, ml_dtypes.uint4, ml_dtypes.float8_e4m3fn, ml_dtypes.float8_e5m2),
    *(ml_dtypes.float8_e4m3fnuz, ml_dtypes.float8_e5m2fnuz),
)
