"""Traps with windows: padding, dilation, strides and rounding of sizes that runtimes read apart."""

import numpy as np
import onnx

from tests.audit.fuzz.traps.sketch import Array, Chooser, reduced, rotations, sketch


def _attributes(c: Chooser, side: int, *, dilate: bool = True) -> str:
    found = [f"strides = [{c.pick('1, 1', '2, 2', '1, 2', '3, 3')}]"]
    mode = c.pick("NOTSET", "SAME_UPPER", "SAME_LOWER", "VALID", "SAME_UPPER")
    if mode == "NOTSET":
        p = c.number(0, side - 1)
        pads = c.pick(f"{p}, {p}, {p}, {p}", f"{p}, {p}, {p}, {p}", "0, 0, 1, 1", "1, 0, 1, 0")
        found.append(f"pads = [{pads if side > 1 else '0, 0, 0, 0'}]")
    else:
        found.append(f'auto_pad = "{mode}"')
    if dilate:
        found.append(f"dilations = [{c.pick('1, 1', '2, 2', '1, 2', '3, 3')}]")
    return ", ".join(found)


def odd_windows(c: Chooser) -> onnx.ModelProto:
    """Pool or convolve with windows of all kinds."""
    side = c.number(1, 3)
    op = c.pick("MaxPool", "AveragePool", "LpPool", "Conv", "ConvInteger", "QLinearConv")
    attributes = _attributes(c, side) + f", kernel_shape = [{side}, {side}]"
    if op == "AveragePool":
        attributes += f", count_include_pad = {c.number(0, 1)}"
    if op in ("AveragePool", "MaxPool", "LpPool"):
        attributes += f", ceil_mode = {c.number(0, 1)}"
    raw = np.random.default_rng(c.number(0, 99)).integers(-2, 3, (1, 1, side, side))
    taps = sum(np.rot90(raw, k, (2, 3)) for k in range(4))
    given = {
        "W": np.asarray(taps, np.float32),
        "WI": np.asarray(taps, np.int8) * c.pick(1, 1, 15),
        "S": np.float32(0.5),
        "Z": np.uint8(c.pick(0, 7)),
        "ZI": np.int8(0),
    }
    made = {
        "Conv": f"p = Conv<{attributes}>(x, W) ",
        "ConvInteger": f"p = ConvInteger<{attributes}>(image, WI, Z) ",
        "QLinearConv": f"p = QLinearConv<{attributes}>(image, S, Z, WI, S, ZI, S, Z) ",
    }.get(op, f"p = {op}<{attributes}>(x) ")
    if op == "MaxPool" and c.chance(0.5):
        made = f"p = MaxPool<{attributes}>(image) "
    body = f"x = Cast<to = 1>(image) {made} m = Cast<to = 1>(p) "
    size = c.number(3, 7)
    return sketch(
        body + reduced(c.pick("ReduceSum", "ReduceMax"), "m", 22),
        f"uint8[N,1,{size},{size}]",
        opset=22,
        **given,
    )


def branches_of_odd_windows(c: Chooser) -> onnx.ModelProto:
    """Apply windows of all kinds to rotated copies, and put the answers together."""
    side, size = c.number(1, 6), c.number(3, 5)
    op = c.pick("MaxPool", "AveragePool", "LpPool", "Conv", "ConvTranspose")
    attributes = _attributes(c, min(side, 3), dilate=op != "LpPool")
    attributes += f", kernel_shape = [{side}, {side}]"
    if op == "AveragePool":
        attributes += f", count_include_pad = {c.number(0, 1)}"
    if op.endswith("Pool"):
        attributes += ", ceil_mode = 1"
    weights = c.random.integers(-2, 3, (1, 1, side, side)).astype(np.float32)
    filters = ", W" if op.startswith("Conv") else ""
    copies = c.pick((0, 1, 2, 3), (0, 1, 2, 3), (0, 1, 2, 3), (0, 1, 1, 3))
    given = c.pick("x", "x", "image") if op == "MaxPool" else "x"
    body = "x = Cast<to = 1>(image) " + rotations(given)
    for place, copy in enumerate(copies):
        body += (
            f"p{place} = {op}<{attributes}>(r{copy}{filters}) c{place} = Cast<to = 1>(p{place}) "
        )
        body += f"m{place} = Mul(c{place}, K) "
    together = c.pick("Add", "Add", "Max")
    body += f"u = {together}(m0, m1) v = {together}(m2, m3) w = {together}(u, v) "
    if c.chance(0.3):
        body += "e = Cast<to = 6>(w) w2 = Cast<to = 1>(e) "
        return _of_branches(body + reduced("ReduceSum", "w2", 22), size, weights)
    return _of_branches(body + reduced(c.pick("ReduceSum", "ReduceMax"), "w", 22), size, weights)


def _of_branches(body: str, size: int, weights: Array) -> onnx.ModelProto:
    kind = f"uint8[N,1,{size},{size}]"
    return sketch(body, kind, opset=22, W=weights, K=np.float32(0.5))


def transposed_windows(c: Chooser) -> onnx.ModelProto:
    """Convolve transposed, the size given in every way there is."""
    side, stride, size = c.number(1, 4), c.number(1, 3), c.number(2, 4)
    raw = np.random.default_rng(c.number(0, 99)).integers(-2, 3, (1, 1, side, side))
    taps = np.asarray(sum(np.rot90(raw, k, (2, 3)) for k in range(4)), np.float32)
    kind = c.pick("pads", "output_shape", "auto_pad", "output_padding")
    attributes = f"strides = [{stride}, {stride}]"
    if kind == "pads":
        p = c.number(0, side - 1)
        attributes += f", pads = [{p}, {p}, {p}, {c.pick(p, p, max(p - 1, 0))}]"
    elif kind == "output_shape":
        full = (size - 1) * stride + side
        out = full - c.number(0, min(3, full - 1))
        attributes += f", output_shape = [{out}, {out}]"
        if c.chance(0.5):
            attributes += f', auto_pad = "{c.pick("SAME_UPPER", "SAME_LOWER")}"'
    elif kind == "auto_pad":
        attributes += f', auto_pad = "{c.pick("SAME_UPPER", "SAME_LOWER", "VALID")}"'
    else:
        more = c.number(0, stride - 1)
        attributes += f", output_padding = [{more}, {more}], pads = [0, 0, {more}, {more}]"
    if c.chance(0.3):
        attributes += ", dilations = [2, 2]"
    body = f"x = Cast<to = 1>(image) p = ConvTranspose<{attributes}>(x, W) m = Mul(p, p) "
    return sketch(
        body + reduced(c.pick("ReduceSum", "ReduceMax"), "m", 17),
        f"uint8[N,1,{size},{size}]",
        W=taps,
    )


def resized(c: Chooser) -> onnx.ModelProto:
    """Resize in every mode, by scales or sizes, integers too."""
    mode = c.pick("linear", "linear", "nearest", "cubic")
    how = c.pick(
        *("half_pixel", "half_pixel", "align_corners", "asymmetric", "pytorch_half_pixel"),
        *("half_pixel_symmetric", "tf_crop_and_resize"),
    )
    attributes = f'mode = "{mode}", coordinate_transformation_mode = "{how}"'
    if mode == "nearest":
        near = c.pick("floor", "ceil", "round_prefer_floor", "round_prefer_ceil")
        attributes += f', nearest_mode = "{near}"'
    if mode == "cubic" and c.chance(0.5):
        attributes += f", exclude_outside = {c.number(0, 1)}, cubic_coeff_a = -0.5"
    if mode != "nearest" and c.chance(0.2):
        attributes += ", antialias = 1"
    factor, size = c.pick(2, 2, 3, 1.5, 0.5, 1, 4, 0.75), c.number(2, 5)
    source = c.pick("image", "x", "x")
    scales = "s" if c.chance(0.5) else ""
    sizes = "" if scales else "e"
    end = int(size * factor) or 1
    body = f"x = Cast<to = 1>(image) p = Resize<{attributes}>({source}, , {scales or ''}"
    body += f", {sizes}) " if sizes else ") "
    return sketch(
        body + "m = Cast<to = 1>(p) " + reduced(c.pick("ReduceSum", "ReduceMax"), "m", 19),
        c.pick(f"uint8[N,1,{size},{size}]", f"int8[1,1,{size},{size}]"),
        opset=19,
        s=np.array([1, 1, factor, factor], np.float32),
        e=np.array([1, 1, end, end]),
    )
