"""Traps with constants that the graph computes, of which not everyone makes the same."""

from typing import Any

import numpy as np
import onnx

from tests.audit.fuzz.traps.sketch import Chooser, reduced, sketch

_ENDS = (0, 1, -1, 3, -3, -4, 100, -100, 2**31 - 1, -(2**31), 2**62, -(2**62))


def _vector(c: Chooser) -> tuple[str, dict[str, Any]]:
    """Write four floats ``k`` that come of constants."""
    given: dict[str, Any] = {"V": c.random.integers(0, 3, 4).astype(np.float32)}
    kind = c.number(0, 9)
    if kind == 0:
        given |= {
            "S0": np.array([c.pick(*_ENDS)]),
            "S1": np.array([c.pick(*_ENDS)]),
            "S2": np.array([0]),
            "S3": np.array([c.pick(-1, -1, -2, 1, 2)]),
        }
        text = "k0 = Slice(V, S0, S1, S2, S3) k1 = Concat<axis = 0>(k0, V) "
        text += "k = Slice(k1, Z0, F4, Z0) "
    elif kind == 1:
        given["W"] = np.array([c.pick(300.0, -1.0, 3e9, 1e20, float("nan"), 2.5, 255.6)] * 4)
        given["W"] = given["W"].astype(np.float32)
        text = f"k0 = Cast<to = {c.pick(2, 3, 4, 5, 6, 7, 12, 13)}>(W) k = Cast<to = 1>(k0) "
    elif kind == 2:
        given |= {"A": np.float32(0), "B": np.float32(0.35), "D": np.float32(0.1)}
        text = "k0 = Range(A, B, D) k1 = Concat<axis = 0>(k0, V) k = Slice(k1, Z0, F4, Z0) "
    elif kind == 3:
        number = c.pick("1", "-0.0", "2.5")
        text = f"k = ConstantOfShape<value = float[1] {{{number}}}>(F4) "
    elif kind == 4:
        op = c.pick("Exp", "Sin", "Tanh", "Erf", "Sqrt", "Softplus", "Sigmoid", "Log", "Reciprocal")
        text = f"k0 = Div(V, T3) k = {op}(k0) "
    elif kind == 5:
        text = f"k0 = Cast<to = {c.pick(10, 16, 17, 19)}>(W) k = Cast<to = 1>(k0) "
        given["W"] = c.random.standard_normal(4).astype(np.float32) * np.float32(c.pick(1, 300))
    elif kind == 6:
        given["W"] = np.array([c.pick(-7, 7, -1, 2**31 - 1)] * 4, np.int32)
        given["D"] = np.array(c.pick(2, -2, 3), np.int32)
        text = f"k0 = {c.pick('Div', 'Mod', 'Mul', 'Add')}(W, D) k = Cast<to = 1>(k0) "
    elif kind == 7:
        op = c.pick("ReduceSum", "ReduceMean", "ReduceProd", "ReduceL2", "ReduceLogSumExp")
        text = f"k0 = Div(V, T3) k1 = {op}(k0) k = Expand(k1, F4) "
    elif kind == 8:
        text = "k0 = Round(H) k = Mul(k0, V) "
        given["H"] = np.array([0.5, 1.5, -0.5, 2.5], np.float32)
    else:
        op = c.pick("Max", "Min", "Mod<fmod = 1>", "Pow", "Div")
        given["W"] = np.array([float("nan"), -0.0, 1, -2], np.float32)
        text = f"k = {op}(W, V) "
    given |= {"Z0": np.array([0]), "F4": np.array([4]), "T3": np.array([3], np.float32)}
    return text, given


def computed_constants(c: Chooser) -> onnx.ModelProto:
    """Scale, shift or pick by constants that come of constants."""
    text, given = _vector(c)
    given["MASK"] = np.zeros((1, 1, 4, 4), np.float32)
    given["MASK"][0, 0, 0, 1] = 1
    given["TINY"] = np.float32(1e-3)
    kind = c.number(0, 3)
    start = f"{text} x = Cast<to = 1>(image) "
    if kind == 0:  # channels of which one alone is not invariant
        body = "a = Mul(x, TINY) b = Mul(x, MASK) c = Concat<axis = 1>(a, b) "
        body += "i0 = Cast<to = 7>(k) one = Constant<value = int64 {1}>() i = Min(i0, one) "
        body += "j = Abs(i) m = Gather<axis = 1>(c, j) "
    elif kind == 1:  # a mask of rows, seldom the same for all
        body = f"m = {c.pick('Mul', 'Add', 'Max')}(x, k) "
    elif kind == 2:
        body = "t0 = Slice(k, Z0, T1, Z0) t1 = Slice(k, T1, T2, Z0) d = Sub(t0, t1) "
        body += "b = Mul(x, MASK) e = Mul(b, d) m = Add(x, e) "
        given |= {"T1": np.array([1]), "T2": np.array([2])}
    else:
        body = "w0 = Reshape(k, SQ) m = Conv(x, w0) "
        given["SQ"] = np.array([1, 1, 2, 2])
    return sketch(start + body + reduced("ReduceMax", "m", 17), opset=17, **given)
