"""Traps with attributes and inputs that nobody writes: empty, negative, of another version."""

from typing import Any

import numpy as np
import onnx

from tests.audit.fuzz.traps.sketch import Chooser, sketch


def _ints(values: list[int]) -> str:
    return f"[{', '.join(map(str, values))}]"


def _axes(c: Chooser, most: int = 4) -> list[int]:
    return [c.number(-most, most - 1) for _ in range(c.pick(0, 1, 1, 1, 2, 2, 3))]


def _windows(c: Chooser, kernel: int) -> str:
    said = [f"kernel_shape = {_ints([kernel, c.pick(kernel, kernel, 1)])}"]
    if c.chance(0.6):
        said.append(f"strides = {_ints(c.pick([1, 1], [2, 2], [3, 3], [1, 2]))}")
    if c.chance(0.5):
        pads = c.pick([0] * 4, [1] * 4, [1] * 4, [1, 0, 1, 0], [0, 1, 0, 1], [1, 0, 0, 1], [2] * 4)
        said.append(f"pads = {_ints(pads)}")
    else:
        said.append(f'auto_pad = "{c.pick("SAME_UPPER", "SAME_LOWER", "VALID", "NOTSET")}"')
    return ", ".join(said)


def _pool(c: Chooser, opset: int) -> str:
    op = c.pick("MaxPool", "AveragePool", "LpPool")
    said = [_windows(c, c.pick(1, 2, 2, 3))]
    since = {"AveragePool": 19, "LpPool": 18, "MaxPool": 10}[op]
    if opset >= since and c.chance(0.5):
        said.append(f"dilations = {_ints(c.pick([2, 2], [1, 2], [1, 1]))}")
    if c.chance(0.5) and opset >= {"LpPool": 18}.get(op, 10):
        said.append("ceil_mode = 1")
    if op == "AveragePool":
        said.append(f"count_include_pad = {c.pick(0, 1)}")
    if op == "LpPool":
        said.append(f"p = {c.pick(1, 2, 3)}")
    return f"{op}<{', '.join(said)}>(x)"


def _resize(c: Chooser, opset: int) -> str:
    if opset < 11:
        return f'Resize<mode = "{c.pick("nearest", "linear")}">(x, SCALES)'
    places = ["half_pixel", "pytorch_half_pixel", "align_corners", "asymmetric"]
    if opset >= 19:
        places.append("half_pixel_symmetric")
    said = [
        f'mode = "{c.pick("nearest", "nearest", "linear", "cubic")}"',
        f'coordinate_transformation_mode = "{c.pick(*places)}"',
        f'nearest_mode = "{c.pick("round_prefer_floor", "round_prefer_ceil", "floor", "ceil")}"',
        f"exclude_outside = {c.pick(0, 0, 1)}",
    ]
    if opset >= 18 and c.chance(0.4):
        said.append(f"antialias = {c.pick(0, 1)}")
    inputs = c.pick("x, , SCALES", "x, , SCALES", "x, , , SIDES", "x, ROI, SCALES")
    if opset >= 18 and c.chance(0.3):
        said.append(f"axes = {_ints(c.pick([2, 3], [-2, -1], [3, 2], [0, 1, 2, 3]))}")
        inputs = c.pick("x, , SCALES2", "x, , SCALES")
    return f"Resize<{', '.join(said)}>({inputs})"


def _reduction(c: Chooser, opset: int) -> str:
    op = c.pick("Max", "Min", "Sum", "Mean", "L1", "L2", "LogSumExp", "SumSquare", "Prod")
    axes, keep = _axes(c), c.pick(0, 1)
    if opset < (13 if op == "Sum" else 18):
        return f"Reduce{op}<axes: ints = {_ints(axes)}, keepdims = {keep}>(x)"
    noop = f", noop_with_empty_axes = {c.pick(0, 1)}" if c.chance(0.5) else ""
    return f"Reduce{op}<keepdims = {keep}{noop}>(x, AXES)"


def _moved(c: Chooser, opset: int) -> str:
    axes = _ints(_axes(c))
    listed = opset < 13
    return c.pick(
        f"Squeeze<axes: ints = {axes}>(v)" if listed else "Squeeze(v, AXES)",
        f"Unsqueeze<axes: ints = {axes}>(x)" if listed else "Unsqueeze(x, AXES)",
        f"Flatten<axis = {c.number(-4, 4)}>(x)",
        f"Transpose<perm = {_ints([int(axis) for axis in c.random.permutation(4)])}>(x)",
        "Transpose(x)",
        f"Reshape{'<allowzero = 1>' if opset >= 14 and c.chance(0.4) else ''}(x, SHAPE)",
        f"Gather<axis = {c.number(-4, 3)}>(x, PLACES)",
        f"Concat<axis = {c.number(-4, 3)}>(x, x)",
        "Slice(x, STARTS, ENDS, AXES)",
        "Slice(x, STARTS, ENDS, AXES, STEPS)",
        "Expand(x, SHAPE)",
        "Tile(x, REPEATS)",
        f'Pad<mode = "{c.pick("constant", "reflect", "edge")}">(x, PADS)',
        f'DepthToSpace<blocksize = 2, mode = "{c.pick("DCR", "CRD")}">(x)',
        "SpaceToDepth<blocksize = 2>(x)",
    )


def _function(c: Chooser, opset: int) -> str:
    axis = c.number(-4, 3)
    later = ", select_last_index = 1" if opset >= 12 else ""
    choices = [
        f"Softmax<axis = {axis}>(x)",
        "Softmax(x)",
        "LogSoftmax(x)",
        f"LpNormalization<axis = {axis}, p = {c.pick(1, 2)}>(x)",
        f"ArgMax<axis = {axis}, keepdims = {c.pick(0, 1)}{later}>(x)",
        f"ArgMin<axis = {axis}, keepdims = {c.pick(0, 1)}>(x)",
        f"Gemm<alpha = {c.pick('0.0', '0.5', '-1.0')}, transB = 1>(f, WEIGHTS)",
        f"Gemm<beta = {c.pick('0.0', '0.5', '-1.0')}, transB = 1>(f, WEIGHTS, BIAS)",
        "MatMul(x, SQUARE)",
        "MatMul(x, x)",
        "PRelu(x, SLOPE)",
        f"LeakyRelu<alpha = {c.pick('-1.0', '2.0', '0.0')}>(x)",
        f"Elu<alpha = {c.pick('-1.0', '2.0', '0.0')}>(x)",
        f"Shrink<bias = {c.pick('0.0', '2.0')}, lambd = {c.pick('-1.0', '2.0')}>(x)",
        f"ThresholdedRelu<alpha = {c.pick('-1.0', '2.0')}>(x)",
        f"HardSigmoid<alpha = {c.pick('-1.0', '2.0')}, beta = 3.0>(x)",
        f"Conv<{_windows(c, 3)}, group = {c.pick(1, 2)}>(x, FILTERS)",
        f"ConvTranspose<{_windows(c, 3)}, group = {c.pick(1, 2)}>(x, FILTERS)",
    ]
    if opset >= 17:
        choices.append(f"LayerNormalization<axis = {axis}>(x, ONES)")
    if opset >= 12:
        equations = ("nchw->n", "nchw->nhw", "nchw,nchw->nc", "nchw,hw->nc", "nchw->nwhc")
        equations = (*equations, "nchw,ncwk->nchk", "n...->n", "...hw->...h")
        inputs = {"nchw,nchw->nc": "x, x", "nchw,hw->nc": "x, SQUARE", "nchw,ncwk->nchk": "x, x"}
        equation = c.pick(*equations)
        choices.append(f'Einsum<equation = "{equation}">({inputs.get(equation, "x")})')
    return c.pick(*choices)


def odd_attributes(c: Chooser) -> onnx.ModelProto:
    """Do one thing in an odd way, or two, and reduce what comes of it."""
    opset = c.pick(10, 11, 12, 13, 17, 18, 19, 21, 22)
    side = c.pick(4, 4, 5, 6)
    kind = c.pick("1", "1", "1", "1", "11", "6")
    body = f"x0 = Cast<to = {kind}>(image) "
    for place in range(c.pick(1, 1, 2)):
        made = c.pick(_pool, _resize, _reduction, _moved, _moved, _function)(c, opset)
        made = made.replace("(x", f"(x{place}").replace(", x", f", x{place}")
        if "(v" in made:
            axis = c.number(-5, 4)
            body += (
                f"v{place} = Unsqueeze<axes = [{axis}]>(x{place}) "
                if opset < 13
                else f"at{place} = Constant<value = int64[1] {{{axis}}}>() "
                f"v{place} = Unsqueeze(x{place}, at{place}) "
            )
            made = made.replace("(v", f"(v{place}")
        if "(f" in made:
            body += f"f{place} = Flatten(x{place}) "
            made = made.replace("(f", f"(f{place}")
        body += f"x{place + 1} = {made} "
        last = place + 1
    op = c.pick("Max", "Max", "Sum", "Mean")
    body += f"w = Cast<to = 1>(x{last}) e = Flatten(w) "
    if opset < (13 if op == "Sum" else 18):
        body += f"y = Reduce{op}<axes = [1], keepdims = 0>(e)"
    else:
        body += f"y = Reduce{op}<keepdims = 0>(e, LAST)"
    channels = c.pick(1, 2, 4)
    given = _given(c, side, channels)
    batch = c.pick("N", "N", "N", "1", "2")
    return sketch(body, f"uint8[{batch},{channels},{side},{side}]", opset=opset, **given)


def _given(c: Chooser, side: int, channels: int) -> dict[str, Any]:
    axes = _axes(c)
    count = max(len(axes), 1)
    filters = c.random.integers(-2, 3, (2, c.pick(1, channels), 3, 3)).astype(np.float32)
    if c.chance(0.7):
        filters = sum(np.rot90(filters, quarters, (2, 3)) for quarters in range(4))
    weights = np.repeat(c.random.integers(-2, 3, (3, channels)), side * side, axis=1)
    factor = c.pick(2.0, 2.0, 3.0, 1.0, 0.5)
    return {
        "AXES": np.array(axes, np.int64),
        "LAST": np.array([1]),
        "SHAPE": np.array(
            c.pick(
                *([0, -1], [0, channels, -1], [-1, channels, side, side], [0, 0, -1], [1]),
                *([-1, 0, side, side], [0, -1, side], [1, 1, side, 1], [2, -1], [], [1, -1]),
            ),
            np.int64,
        ),
        "PLACES": np.array(c.pick([0], [-1], 0, [[0, 1], [1, 0]], [], [side - 1, 0]), np.int64),
        "STARTS": np.array([c.pick(0, 0, -1, 1, -100, 100) for _ in range(count)]),
        "ENDS": np.array([c.pick(100, 100, -1, side, 2**62, -100) for _ in range(count)]),
        "STEPS": np.array([c.pick(1, 1, 2, -1) for _ in range(c.pick(count, count, 1))]),
        "REPEATS": np.array(c.pick([1, 1, 1, 1], [1, 2, 1, 1], [1, 1, 2, 2], [1, 1, 0, 1])),
        "PADS": np.array(c.pick([0, 0, 1, 1] * 2, [0, 0, 2, 2] * 2, [0, 0, 1, 0] * 2, [0] * 8)),
        "SCALES": np.array([1, 1, factor, factor], np.float32),
        "SCALES2": np.array([factor, factor], np.float32),
        "SIDES": np.array(c.pick([1, channels, side * 2, side * 2], [2, channels, side, side])),
        "ROI": np.zeros(0, np.float32),
        "WEIGHTS": weights.astype(np.float32),
        "BIAS": np.array(c.pick([1, 2, 3], [1], [[1, 2, 3]]), np.float32),
        "SQUARE": np.full((side, side), 2, np.float32),
        "SLOPE": np.full(c.pick((), (1,), (1, 1, 1), (channels, 1, 1)), 0.5, np.float32),
        "FILTERS": filters,
        "ONES": np.ones(c.pick(1, side), np.float32),
    }
