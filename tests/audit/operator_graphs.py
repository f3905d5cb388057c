"""One small graph for each operator that the proof has a record of, and what it may claim.

Every one of them makes ``y`` of ``x``, floats ``[N, 4, 4, 4]`` that are no integers.
"""

import re
from typing import Any, Final

import numpy as np
import onnx
from onnx import numpy_helper

from audit.proof import Proof, prove
from tests.audit.fuzz.judge import run_alone

CHANNELS = SIZE = 4

_UNARY = (
    *("Abs", "Acos", "Acosh", "Asin", "Asinh", "Atan", "Atanh", "Ceil", "Celu", "Cos", "Cosh"),
    *("Elu", "Erf", "Exp", "Floor", "Gelu", "HardSigmoid", "HardSwish", "LeakyRelu", "Log"),
    *("Mish", "Neg", "Reciprocal", "Relu", "Round", "Selu", "Shrink", "Sigmoid", "Sign", "Sin"),
    *("Sinh", "Softplus", "Softsign", "Sqrt", "Swish", "Tan", "Tanh", "ThresholdedRelu"),
    *("Identity", "Dropout", "Flatten", "GlobalAveragePool", "GlobalLpPool", "GlobalMaxPool"),
)
_WITH_ONE = ("Add", "Sub", "Mul", "Div", "Max", "Min", "Mean", "Sum", "Pow", "PRelu")
_COMPARING = ("Greater", "GreaterOrEqual", "Less", "LessOrEqual")
_REDUCING = ("L1", "L2", "LogSum", "LogSumExp", "Max", "Mean", "Min", "Prod", "Sum", "SumSquare")
_PROBABILITIES = ("Softmax", "LogSoftmax", "LpNormalization")

BODIES: Final[dict[str, str]] = {
    **{op: f"y = {op}(x)" for op in _UNARY},
    **{op: f"y = {op}(x, K)" for op in (*_WITH_ONE, *_COMPARING)},
    **{f"Reduce{op}": f"y = Reduce{op}(x, GRID)" for op in _REDUCING},
    **{op: f"y = {op}<axis = 1>(x)" for op in (*_PROBABILITIES, "ArgMax", "ArgMin")},
    "And": "p = Less(x, K) q = Greater(x, HALF) y = And(p, q)",
    "Or": "p = Greater(x, K) q = Less(x, HALF) y = Or(p, q)",
    "Xor": "p = Less(x, K) q = Greater(x, HALF) y = Xor(p, q)",
    **{f"Bitwise{op}": f"p = Cast<to = 6>(x) y = Bitwise{op}(p, FIVE)" for op in ("And", "Or")},
    "BitwiseXor": "p = Cast<to = 6>(x) y = BitwiseXor(p, FIVE)",
    "BitwiseNot": "p = Cast<to = 6>(x) y = BitwiseNot(p)",
    "BitShift": 'p = Cast<to = 2>(x) y = BitShift<direction = "LEFT">(p, ONEU)',
    "Equal": "p = Floor(x) y = Equal(p, ONEF)",
    "Not": "p = Greater(x, K) y = Not(p)",
    "IsInf": "p = Div(x, ZEROF) y = IsInf(p)",
    "IsNaN": "p = Div(x, ZEROF) y = IsNaN(p)",
    "Where": "p = Greater(x, K) y = Where(p, x, K)",
    "Mod": "y = Mod<fmod = 1>(x, K)",
    "Clip": "y = Clip(x, K, ONEF)",
    "Cast": "y = Cast<to = 11>(x)",
    "QuantizeLinear": "y = QuantizeLinear(x, K, ZU)",
    "DequantizeLinear": "p = QuantizeLinear(x, K, ZU) y = DequantizeLinear(p, K, ZU)",
    "BatchNormalization": "y = BatchNormalization(x, FOUR, FOUR, FOUR, FOUR)",
    "InstanceNormalization": "y = InstanceNormalization(x, FOUR, FOUR)",
    "GroupNormalization": "y = GroupNormalization<num_groups = 2>(x, FOUR, FOUR)",
    "LayerNormalization": "p = Transpose<perm = [0, 2, 3, 1]>(x) y = LayerNormalization(p, FOUR)",
    "TopK": "y, v = TopK<axis = 1>(x, TWO)",
    "AveragePool": "y = AveragePool<kernel_shape = [2, 2]>(x)",
    "LpPool": "y = LpPool<kernel_shape = [2, 2]>(x)",
    "MaxPool": "y = MaxPool<kernel_shape = [2, 2]>(x)",
    "Resize": 'y = Resize<mode = "linear">(x, , TWICE)',
    "Upsample": "y = Upsample(x, TWICE)",
    "Conv": "y = Conv<pads = [1, 1, 1, 1]>(x, FILTERS)",
    "ConvTranspose": "y = ConvTranspose<strides = [2, 2]>(x, SPREAD)",
    "ConvInteger": "p = QuantizeLinear(x, K, ZU) y = ConvInteger(p, FILTERS8)",
    "QLinearConv": "p = QuantizeLinear(x, K, ZU) y = QLinearConv(p, K, ZU, FILTERS8, K, Z8, K, ZU)",
    "Gemm": "p = Flatten(x) y = Gemm(p, MATRIX)",
    "MatMul": "p = Flatten(x) y = MatMul(p, MATRIX)",
    "MatMulInteger": "p = QuantizeLinear(x, K, ZU) q = Flatten(p) y = MatMulInteger(q, MATRIX8)",
    "QLinearMatMul": "p = QuantizeLinear(x, K, ZU) q = Flatten(p)"
    " y = QLinearMatMul(q, K, ZU, MATRIX8, K, Z8, K, ZU)",
    "Einsum": 'y = Einsum<equation = "nchw->nc">(x)',
    "Concat": "y = Concat<axis = 1>(x, x)",
    "DepthToSpace": "y = DepthToSpace<blocksize = 2>(x)",
    "SpaceToDepth": "y = SpaceToDepth<blocksize = 2>(x)",
    "Expand": "p = Unsqueeze(x, ONE) y = Expand(p, REPEATED)",
    "Gather": "y = Gather<axis = 1>(x, TWO)",
    "Pad": "y = Pad(x, AROUND)",
    "Reshape": "y = Reshape(x, HALVES)",
    "Slice": "y = Slice(x, ONE, TWO, ONE)",
    "Split": "y, v = Split<axis = 1, num_outputs = 2>(x)",
    "Squeeze": "p = Unsqueeze(x, ONE) y = Squeeze(p, ONE)",
    "Unsqueeze": "y = Unsqueeze(x, ONE)",
    "Tile": "y = Tile(x, TILES)",
    "Transpose": "y = Transpose<perm = [0, 1, 3, 2]>(x)",
    "Constant": "p = Constant<value_float = 0.7>() y = Add(x, p)",
    "ConstantOfShape": "p = ConstantOfShape(COLUMN) y = Add(x, p)",
    "EyeLike": "p = EyeLike(SQUARE) q = ReduceMax(p) y = Add(x, q)",
    "Range": "p = Range(ZEROF, FOURF, ONEF) q = Reshape(p, COLUMN) y = Add(x, q)",
    "Shape": "p = Shape(SQUARE) q = Cast<to = 1>(p) r = ReduceMax(q) y = Add(x, r)",
    "Size": "p = Size(SQUARE) q = Cast<to = 1>(p) y = Add(x, q)",
}
OPSETS: Final = {"Upsample": 9, "Swish": 24}
CONSTANTS: Final[dict[str, Any]] = {
    "K": np.float32(0.7),
    "HALF": np.float32(0.5),
    "ZEROF": np.float32(0),
    "ONEF": np.float32(1),
    "FOURF": np.float32(4),
    "PERCENT": np.float32(0.01),
    "HUNDRED": np.float32(100),
    "ZU": np.uint8(0),
    "Z8": np.int8(0),
    "ONEU": np.uint8(1),
    "FIVE": np.int32(5),
    "ONE": np.array([1]),
    "TWO": np.array([2]),
    "GRID": np.array([2, 3]),
    "FOUR": np.array([0.5, 0.7, 0.9, 1.1], np.float32),
    "TWICE": np.array([1, 1, 2, 2], np.float32),
    "FILTERS": np.full((2, 4, 3, 3), 0.1, np.float32),
    "SPREAD": np.full((4, 2, 2, 2), 0.1, np.float32),
    "FILTERS8": np.full((2, 4, 3, 3), 3, np.int8),
    "MATRIX": np.full((64, 3), 0.1, np.float32),
    "MATRIX8": np.full((64, 3), 3, np.int8),
    "UNEVEN_FILTERS": np.linspace(-1, 2, 72, dtype=np.float32).reshape(2, 4, 3, 3) ** 2,
    "FOURTH": np.array([4]),
    "EIGHTH": np.array([8]),
    "ONES": np.ones((2, 4, 3, 3), np.float32),
    "ONES_SPREAD": np.ones((4, 2, 2, 2), np.float32),
    "ONES_MATRIX": np.ones((64, 3), np.float32),
    "LAST": np.array([-1, -1]),
    "FIRST": np.array([-100, -100]),
    "BACK": np.array([-1, -1]),
    "ENDS": np.array([-1]),
    "FIRST_ROW": np.array([-100]),
    "REPEATED": np.array([1, 3, 1, 1, 1]),
    "AROUND": np.array([0, 0, 1, 1, 0, 0, 1, 1]),
    "HALVES": np.array([0, 2, 2, 4, 4]),
    "TILES": np.array([1, 2, 1, 1]),
    "COLUMN": np.array([4, 1, 1]),
    "SQUARE": np.ones((3, 3), np.float32),
    "FACTORS": np.linspace(0.5, 2, 64, dtype=np.float32).reshape(1, 4, 4, 4),
    "SUMMANDS": np.linspace(0, 1, 64, dtype=np.float32).reshape(1, 4, 4, 4) ** 2,
}

_START = "a = Cast<to = 1>(image) x = Mul(a, PERCENT) "
UNEVEN = "a = Cast<to = 1>(image) b = Mul(a, PERCENT) m = Mul(b, FACTORS) x = Add(m, SUMMANDS) "
"""A start that makes another thing of a rotated image."""
COUNTED = " g = Cast<to = 1>(y) c = Greater(g, K) i = Cast<to = 6>(c) f = Flatten(i)"
COUNTED += " s = ReduceSum<keepdims = 0>(f, ONE) logits = Cast<to = 1>(s)"
"""An end that is the same for rotated entries, in every bit, whatever they are."""
WHOLE = " g = Cast<to = 1>(y) logits = Flatten(g)"
"""An end that keeps all entries where they are."""


def build(body: str, *, start: str = _START, end: str = COUNTED, opset: int = 21) -> bytes:
    """Return a file that makes ``y`` of ``x`` by a body."""
    if opset < 13:
        end = end.replace(
            "ReduceSum<keepdims = 0>(f, ONE)", "ReduceSum<axes = [1], keepdims = 0>(f)"
        )
    text = f"""<ir_version: 10, opset_import: ["" : {opset}]>
        g (uint8[N, {CHANNELS}, {SIZE}, {SIZE}] image) => (float[N{"" if "s = " in end else ", K"}]
        logits) {{ {start} {body} {end} }}"""
    proto = onnx.parser.parse_model(text)
    for name, value in CONSTANTS.items():
        if re.search(rf"\b{name}\b", start + body + end):
            proto.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return bytes(proto.SerializeToString())


def graph_of(op: str, body: str | None = None, **parts: str) -> bytes:
    """Return the graph of an operator."""
    return build(body or BODIES[op], opset=OPSETS.get(op, 21), **parts)


def proof_of(data: bytes, group: str = "C4") -> Proof:
    """Prove with a runtime at hand."""
    return prove(data, group, runtime=run_alone)


# What was looked up of each operator, in the standard and in the runtimes: the records say no more.


def _named(text: str) -> set[str]:
    return set(text.split())


MOVING = _named(
    """
    Concat DepthToSpace Dropout Expand Flatten Gather Identity Pad Reshape Slice
    SpaceToDepth Split Squeeze Tile Transpose Unsqueeze
    """
)
EXACT_ON_FLOATS = MOVING | _named(
    """
    Abs Add And Cast Ceil Clip DequantizeLinear Div Equal Floor Greater GreaterOrEqual
    IsInf IsNaN LeakyRelu Less LessOrEqual Mod Mul Neg Not Or PRelu Relu Round Shrink
    Sign Sub ThresholdedRelu Where Xor
    """
)
EXACT_WHERE_WHOLE = _named(
    """
    AveragePool Conv ConvInteger ConvTranspose Gemm GlobalAveragePool MatMul
    MatMulInteger ReduceMean ReduceSum
    """
)
CHOOSING = _named(
    """
    ArgMax ArgMin GlobalMaxPool Max MaxPool Min ReduceMax ReduceMin TopK
    """
)
SMOOTH = _named(
    """
    Abs Add Asinh Atan AveragePool BatchNormalization Clip Concat Conv ConvInteger
    ConvTranspose DepthToSpace DequantizeLinear Dropout Einsum Elu Erf Expand Flatten
    Gather Gelu Gemm GlobalAveragePool GlobalLpPool GlobalMaxPool HardSigmoid HardSwish
    Identity LeakyRelu LogSoftmax LpPool MatMul MatMulInteger Max MaxPool Mean Min Mish
    Mul Neg PRelu Pad ReduceL1 ReduceL2 ReduceLogSumExp ReduceMax ReduceMean ReduceMin
    ReduceSum Relu Reshape Resize Selu Sigmoid Slice Softmax Softplus Softsign
    SpaceToDepth Split Squeeze Sub Sum Swish Tanh Tile Transpose Unsqueeze Upsample
    """
)
SYMMETRIC = _named(
    """
    Add And BitwiseAnd BitwiseOr BitwiseXor Equal Max Mean Min Mul Or Sum Xor
    """
)
