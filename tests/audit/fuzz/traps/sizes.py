"""Traps with the number of images: as an index, an operand, a bound, or equal to a literal."""

from typing import Any

import numpy as np
import onnx

from tests.audit.fuzz.traps.sketch import Chooser, reduced, sketch

LITERALS = (-7_777_777_777_777, -1, 0, 1, 2, 3, 4, 12, 2**31 - 1, 2**62)
_N = "s_ = Shape(image) N_ = Slice(s_, ZERO, ONE, ZERO) "
_GIVEN: dict[str, Any] = {"ZERO": np.array([0]), "ONE": np.array([1]), "NONE": np.array(0)}


def _size(c: Chooser) -> str:
    """Write something that N is made into, called ``K_``, of shape [1]."""
    text = _N
    last = "N_"
    for place in range(c.number(0, 2)):
        made = c.pick(
            "Add({}, L)",
            "Mul({}, P)",
            "Div({}, P)",
            "Sub({}, L)",
            "Max({}, L)",
            "Min({}, L)",
            "Identity({})",
            "Neg({})",
            "Abs({})",
            "Concat<axis = 0>({})",
            "Mod({}, P)",
            "Clip({}, NONE, NONE)",
            "Gather<axis = 0>({}, ZERO)",
            "Reshape({}, ONE)",
        )
        if made.startswith("Concat") and c.chance(0.5):
            made = "ReduceProd<axes = [0]>({})"
        text += f"n{place} = {made.format(last)} "
        last = f"n{place}"
    return text + f"K_ = Identity({last}) "


def batch_as_number(c: Chooser) -> onnx.ModelProto:
    """Use what is computed from N where a number is wanted."""
    flat = "f = Flatten(image) g = Cast<to = 1>(f) "
    cast = "x = Cast<to = 1>(image) k = Cast<to = 1>(K_) "
    row = "h = Cast<to = 1>(y0) AX_ = Constant<value = int64[1] {1}>() y = ReduceSum<keepdims = 0>"
    row += "(h, AX_)"
    end = reduced(c.pick("ReduceMax", "ReduceSum"), "m", 17)
    body = c.pick(
        flat + f"y0 = Slice(g, ZERO, K_, ONE) {row}",
        flat + f"y0 = Slice(g, K_, BIG, ONE) {row}",
        flat + f"y0 = Gather<axis = 1>(g, K_) {row}",
        flat + f"y0, i0 = TopK(g, K_) {row}",
        flat + f"t = Concat<axis = 0>(K_, MINUS) y0 = Reshape(g, t) {row}",
        flat + f"t = Concat<axis = 0>(ONE, K_) y0 = Tile(g, t) {row}",
        flat + f"t = Concat<axis = 0>(ONE, K_) y0 = Expand(g, t) {row}",
        cast + f"m = {c.pick('Mul', 'Add', 'Max', 'Min', 'Div', 'Pow')}(x, k) {end}",
        cast + f"q = Squeeze(k, ZERO) m = Clip(x, , q) {end}",
        cast + f"q = Squeeze(k, ZERO) m = Clip(x, q) {end}",
        cast + f"e = Equal(K_, L) w = Cast<to = 1>(e) m = Mul(x, w) {end}",
        cast + f"e = Less(K_, L) m0 = Transpose<perm = [0, 1, 3, 2]>(x) m = Where(e, x, m0) {end}",
        cast + f"p = Concat<axis = 0>(Z4, K_, K_) v = ConstantOfShape(K_) m = Add(x, v) {end}",
        "x = Cast<to = 7>(image) w = Concat<axis = 0>(K_, L, L, K_) p = Mul(x, w) "
        f"m = Cast<to = 1>(p) {reduced('ReduceMax', 'm', 17)}",
        "x = Cast<to = 7>(image) w = Concat<axis = 0>(K_, L, L, K_) p = Equal(x, w) "
        f"m = Cast<to = 1>(p) {end}",
    )
    literal = np.array([c.pick(*LITERALS)])
    return sketch(
        _size(c) + body,
        c.pick("uint8[N,1,4,4]", "float[N,1,4,4]", "uint8[2,1,4,4]"),
        L=literal,
        P=np.array([c.pick(1, 2, 3, 4)]),
        BIG=np.array([2**62]),
        MINUS=np.array([-1]),
        Z4=np.zeros(2, np.int64),
        **_GIVEN,
    )


def bound_by_batch(c: Chooser) -> onnx.ModelProto:
    """Clip what ties only nearly by N."""
    taps = np.ones((1, 1, 3, 3), np.float32)
    taps += np.float32(1e-6) * c.random.standard_normal(taps.shape).astype(np.float32)
    low, high = c.pick(("", "q"), ("q", ""), ("", "l"))
    end = reduced(c.pick("ReduceMax", "ReduceMin"), "m", 17)
    body = (
        f"{_size(c)} x = Cast<to = 1>(image) c = Conv(x, W) i = Mul(c, R) k = Cast<to = 7>(i) "
        f"q = Squeeze(K_, ZERO) l = Squeeze(L, ZERO) "
        f"d = Clip(k, {low}, {high}) m = Cast<to = 1>(d) {end}"
    )
    return sketch(
        body,
        "float[N,1,5,5]",
        W=taps,
        R=np.float32(c.pick(1.0, 1.0939746, 2.5)),
        L=np.array([c.pick(*LITERALS)]),
        P=np.array([c.pick(1, 2)]),
        **_GIVEN,
    )
