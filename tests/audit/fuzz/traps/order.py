"""Traps with the order of values: NaN, zeros of both signs, casts out of range, steps."""

import numpy as np
import onnx

from tests.audit.fuzz.traps.sketch import Chooser, reduced, rotations, sketch

_NUMBERS = (0.0, -0.0, 1.0, -1.0, 128.0, 255.0, 3e38, -3e38, 1e-40, 1e10, float("inf"), 0.5)

_MAKERS = (
    *("Sqrt({})", "Log({})", "Neg({})", "Ceil({})", "Floor({})", "Round({})", "Reciprocal({})"),
    *("Mul({}, A)", "Div({}, A)", "Div(A, {})", "Sub({}, A)", "Sub(A, {})", "Add({}, A)"),
    *("Clip({}, L, H)", "Relu({})", "LeakyRelu({})", "Sign({})", "Abs({})", "Mod<fmod = 1>({}, B)"),
    *("PRelu({}, A)", "Max({}, L)", "Min({}, L)", "ThresholdedRelu({})", "Shrink({})"),
    *("Identity({})", "Pow({}, A)", "Atanh({})", "Where(T_, {}, A)", "HardSigmoid({})"),
)


def _chain(c: Chooser, name: str, most: int) -> tuple[str, str]:
    text = ""
    for place in range(c.number(1, most)):
        text += f"v{place} = {c.pick(*_MAKERS).format(name)} "
        name = f"v{place}"
    return text, name


def nan_and_zeros(c: Chooser) -> onnx.ModelProto:
    """Reduce what may hold NaN, infinities or zeros of both signs, and look at its sign."""
    text, name = _chain(c, "x", 3)
    pool = c.pick(
        *("MaxPool<kernel_shape = [2, 2]>({})", "GlobalMaxPool({})", "Identity({})"),
        *("Identity({})", "AveragePool<kernel_shape = [2, 2]>({})", "Softmax<axis = 1>({})"),
    )
    look = c.pick(
        *("Reciprocal(y0)", "Identity(y0)", "Identity(y0)", "Div(ONE_, y0)", "Sign(y0)"),
        *("Atan(y0)", "Cast<to = 1>(y0)", "Relu(y0)", "Max(y0, y0)"),
    )
    start = "x = Cast<to = 1>(image) T_ = Cast<to = 9>(image) "
    op = c.pick("ReduceMax", "ReduceMin", "ReduceSum", "ReduceProd", "ReduceL1")
    end = reduced(op, "m", 17).replace("y = ", "y0 = ")
    see = f"y = {look}"
    if c.chance(0.4):  # look at every entry before it is reduced
        see = "y = Identity(y0)"
        flag = c.pick("IsNaN({})", "Greater({}, ZERO_)", "IsInf({})", "Equal({}, ZERO_)")
        text += f"w = Div(ONE_, {name}) " if c.chance(0.5) else f"w = Identity({name}) "
        text += f"u = {flag.format('w')} z_ = Cast<to = 1>(u) "
        name = "z_"
    return sketch(
        f"{start}{text} m = {pool.format(name)} {end} {see}",
        c.pick("uint8[N,1,4,4]", "float[N,1,4,4]", "int8[N,2,3,3]", "uint8[N,1,5,5]"),
        A=np.float32(c.pick(*_NUMBERS)),
        B=np.float32(c.pick(1, 2, 0.7, -3)),
        L=np.float32(c.pick(*_NUMBERS)),
        H=np.float32(c.pick(*_NUMBERS)),
        ONE_=np.float32(1),
        ZERO_=np.float32(0),
    )


def cast_out_of_range(c: Chooser) -> onnx.ModelProto:
    """Cast floats near, at and beyond the ends of integers."""
    text, name = _chain(c, "x", 2)
    factor = c.pick(1.0, 1.001, 2.0**16, 2.0**23, 2.0**24, 8421504.0, 1e10, 2.0**55, 0.502, -1.0)
    codes = (2, 3, 4, 5, 6, 7, 12, 13)
    middle = c.pick("", "", f"p_ = Cast<to = {c.pick(1, 10, 11, 16)}>(q_) ")
    inner = "p_" if middle else "q_"
    body = (
        f"x = Cast<to = 1>(image) T_ = Cast<to = 9>(image) {text} q_ = Mul({name}, F) {middle}"
        f"u = Cast<to = {c.pick(*codes)}>({inner}) i = Cast<to = 7>(u) "
        f"{reduced(c.pick('ReduceSum', 'ReduceMax'), 'i', 17)}"
    )
    return sketch(
        body,
        c.pick("uint8[N,1,4,4]", "float[N,1,5,5]", "int32[N,1,3,3]", "uint16[N,1,3,3]"),
        outputs="int64[a] y",
        F=np.float32(factor),
        A=np.float32(c.pick(*_NUMBERS)),
        B=np.float32(3),
        L=np.float32(c.pick(-1.0, 0.0)),
        H=np.float32(c.pick(1.0, 255.0, 256.0, 2.0**31)),
    )


def step_after_rounding(c: Chooser) -> onnx.ModelProto:
    """Round a sum, and make a step of it."""
    pooled = c.pick(
        *("GlobalAveragePool(x)", "Conv(x, W)", "AveragePool<kernel_shape = [3, 3]>(x)"),
        *("ReduceMean<axes = [2, 3]>(x)", "LpPool<kernel_shape = [2, 2]>(x)", "Sqrt(x)"),
        'Resize<mode = "linear">(x, , TWICE)',
    )
    step = c.pick(
        *("Floor({})", "Round({})", "Ceil({})", "Sign({})", "Mod<fmod = 1>({}, B)"),
        *("Greater({}, B)", "Equal({}, B)", "Cast<to = 6>({})", "Cast<to = 9>({})", "Mul({}, B)"),
        *("QuantizeLinear({}, S, Z)", "Identity({})", "ThresholdedRelu({})", "Shrink({})"),
        *("InstanceNormalization<epsilon = 1e-12>({}, I, I)", "Reciprocal({})", "Tan({})"),
    )
    shift = c.pick("", "d = Sub(p, p2) ", "d = Mul(p, R) ")
    second = "p2 = Identity(p) " if "p2" in shift else ""
    if second and c.chance(0.7):
        second = "xt = Transpose<perm = [0, 1, 3, 2]>(x) p2 = " + pooled.replace("(x", "(xt") + " "
    name = "d" if shift else "p"
    body = (
        f"x = Cast<to = 1>(image) p = {pooled} {second}{shift} "
        f"q = {step.format(name)} m = Cast<to = 1>(q) "
    )
    return sketch(
        body + reduced(c.pick("ReduceMax", "ReduceSum", "ReduceMean"), "m", 17),
        c.pick("float[N,1,6,6]", "uint8[N,1,6,6]"),
        W=np.full((1, 1, 3, 3), np.float32(c.pick(0.1, 1 / 9, 1.0, 0.37))),
        B=np.float32(c.pick(0.5, 1.0, 127.5)),
        R=np.float32(c.pick(3.0, 0.1, 1e6)),
        S=np.float32(c.pick(1 / 255, 0.1, 1.0)),
        Z=np.uint8(c.pick(0, 3)),
        I=np.ones(1, np.float32),
        TWICE=np.array([1, 1, 2, 2], np.float32),
    )


def set_against_each_other(c: Chooser) -> onnx.ModelProto:
    """Combine rotated copies in ways that have an order, or only seem to."""
    op = c.pick("Sub", "Div", "Pow", "Add", "Max", "Min", "Mul", "PRelu", "Greater", "Mod", "Mean")
    pairs = c.pick((0, 2, 1, 3), (0, 1, 2, 3), (0, 3, 1, 2))
    inner = c.pick("Add", "Max", "Mul", "Min", "Sum", "Mean", "Sub")
    a, b, d, e = (f"x{k}" for k in pairs)
    body = rotations() + "".join(f"x{k} = Cast<to = 1>(r{k}) " for k in range(4))
    more = "<fmod = 1>" if op == "Mod" else ""
    body += f"p = {inner}({a}, {b}) q = {inner}({d}, {e}) g = {op}{more}(p, q) "
    if c.chance(0.4):
        body += (
            f"h = {op}{more}(q, p) k = {c.pick('Add', 'Max', 'Mul', 'Sub')}(g, h) "
            if (op != "Greater")
            else "k = Identity(g) "
        )
    else:
        body += "k = Identity(g) "
    body += "m = Cast<to = 1>(k) "
    if c.chance(0.5):
        body += "mm = Mul(m, MASK) "
    else:
        body += "mm = Identity(m) "
    mask = np.zeros((4, 4), np.float32)
    mask[c.number(0, 3), c.number(0, 3)] = 1
    return sketch(body + reduced("ReduceMax", "mm", 17), MASK=mask)
