"""Functions of each entry by itself: of one number, of several, of truth values and of bits."""

from onnx import TensorProto

from tests.audit.fuzz.builder import Builder
from tests.audit.fuzz.values import draw

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
