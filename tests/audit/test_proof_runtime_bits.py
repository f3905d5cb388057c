"""Files whose integers onnxruntime does not compute as integers: no bits may be claimed of them.

Found by traps (`tests/audit/fuzz/traps`). Each deviates when it is run, which is asserted as well:
on processors whose kernels do otherwise, the case is skipped, and not passed.
"""

from typing import Any

import numpy as np
import onnx
import pytest
from numpy.typing import NDArray
from onnx import numpy_helper

from audit.proof import prove
from tests.audit.fuzz.judge import answers, run_alone, same_bits

Array = NDArray[Any]

EVERYWHERE = "AX = Constant<value = int64[3] {1, 2, 3}>() "


def _parse(body: str, kind: str, output: str, **constants: Any) -> bytes:
    text = (
        f'<ir_version: 10, opset_import: ["" : 18]> g ({kind} image) => ({output} y) {{ {body} }}'
    )
    model = onnx.parser.parse_model(text)
    for name, value in constants.items():
        model.graph.initializer.append(numpy_helper.from_array(np.asarray(value), name))
    return bytes(model.SerializeToString())


def _of(pixels: list[int], dtype: Any = np.uint8) -> Array:
    side = int(np.sqrt(len(pixels)))
    return np.array(pixels, dtype).reshape(1, 1, side, side)


# 16843009 * 255 = 2^32 - 1: products share their upper 32 bits, and lie on both sides of 2^31.
CASES = {
    "products of bytes are added in 16 bits": (
        _parse(
            "f = Flatten(image) y = MatMulInteger(f, W)",
            "uint8[N,1,2,2]",
            "int32[a,b]",
            W=np.full((4, 1), 127, np.int8),
        ),
        _of([255, 255, 0, 0]),
    ),
    "filters of unsigned bytes are added in 16 bits": (
        _parse(
            "c = ConvInteger(image, W) d = Cast<to = 7>(c) "
            + EVERYWHERE
            + "y = ReduceSum<keepdims = 0>(d, AX)",
            "int8[N,1,4,4]",
            "int64[a]",
            W=np.full((1, 1, 2, 2), 255, np.uint8),
        ),
        _of([-128, -128, 127, 3, -128, 127, 0, 5, -128, -128, -7, 9, 127, 127, -128, 0], np.int8),
    ),
    "integers of 64 bits are summed as floats": (
        _parse(
            "x = Cast<to = 7>(image) b = Cast<to = 9>(image) m = Where(b, x, W) "
            + EVERYWHERE
            + "y = ReduceSum<keepdims = 0>(m, AX)",
            "uint8[N,1,4,4]",
            "int64[a]",
            W=np.array(2**60 + 1),
        ),
        _of(list(range(16))),
    ),
    "the least of integers of 64 bits": (
        _parse(
            "x = Cast<to = 7>(image) m = Mul(x, F) "
            + EVERYWHERE
            + "y = ReduceMin<keepdims = 0>(m, AX)",
            "uint8[N,1,4,4]",
            "int64[a]",
            F=np.array(2**31 - 1),
        ),
        _of(list(range(16))),
    ),
    "the sign of integers of 64 bits": (
        _parse(
            "x = Cast<to = 7>(image) m = Mul(x, F) s = Sign(m) "
            + EVERYWHERE
            + "y = ReduceSum<keepdims = 0>(s, AX)",
            "uint8[N,1,3,3]",
            "int64[a]",
            F=np.array(2**24),
        ),
        _of([128, 0, 0, 0, 0, 0, 0, 0, 0]),
    ),
    # Twice a hyperbolic tangent of 1.0000002 is rounded up to 3: sums go beyond 2^24.
    "a hyperbolic tangent beyond 1": (
        _parse(
            "a = Cast<to = 1>(image) m = GlobalMaxPool(a) s = Mul(m, F) t = Tanh(s) "
            "d = Mul(t, TWO) u = Ceil(d) v = Mul(a, u) w = Conv<pads = [1, 1, 1, 1]>(v, W) "
            + EVERYWHERE
            + "y = ReduceMax<keepdims = 0>(w, AX)",
            "uint8[N,1,8,8]",
            "float[a]",
            F=np.float32(0.032190084),
            TWO=np.float32(2),
            W=np.full((1, 1, 3, 3), 3655, np.float32),
        ),
        np.concatenate([_of([255 - place * step % 50 for place in range(64)]) for step in (7, 13)]),
    ),
    # 250 times the rounded inverse of the number is 1, and 250 divided by it is more.
    "a quotient beyond the product with the inverse": (
        _parse(
            "f = Cast<to = 1>(image) l = Clip(f, , MOST) a = Cast<to = 11>(l) q = Div(a, D) "
            "u = Ceil(q) r = Flatten(u) y = MatMul(r, W)",
            "uint8[N,1,8,8]",
            "double[a, b]",
            MOST=np.float32(250),
            D=np.nextafter(250.0, 0),
            W=np.full((64, 1), 2.0**47 - 1),
        ),
        np.concatenate([_of([255 - place % odd * 20 for place in range(64)]) for odd in (3, 5, 7)]),
    ),
    # Doubles become single precision first: 2051 less a little is 2051, and then 2052.
    "doubles that half precision rounds twice": (
        _parse(
            "a = Cast<to = 11>(image) b = Mul(a, F) h = Cast<to = 10>(b) g = Cast<to = 1>(h) "
            "c = Ceil(g) r = Flatten(c) y = MatMul(r, W)",
            "uint8[N,2,2,2]",
            "float[a, b]",
            F=np.float64((2051 - 1e-9) / 255),
            W=np.array([[2044]] * 4 + [[1]] * 4, np.float32),
        ),
        np.array([[[[255, 255], [255, 255]], [[8, 1], [0, 0]]]], np.uint8),
    ),
    "numbers below zero that half precision makes -0.0": (
        _parse(
            "a = Cast<to = 1>(image) b = Sub(a, MID) c = Mul(b, F) d = Add(c, ZERO) "
            "h = Cast<to = 10>(d) g = Cast<to = 1>(h) "
            + EVERYWHERE
            + "y = ReduceMax<keepdims = 0>(g, AX)",
            "uint8[N,1,7,7]",
            "float[a]",
            MID=np.float32(128),
            F=np.float32(1e-20),
            ZERO=np.float32(0),
        ),
        np.concatenate([_of([128 - (place == hot) for place in range(49)]) for hot in range(8)]),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_no_bits_are_claimed_that_the_runtime_does_not_give(name: str) -> None:
    data, image = CASES[name]
    runs = answers(data, image, optimised=False)
    assert runs is not None
    if all(same_bits(a, b) for run in runs[1:] for a, b in zip(runs[0], run, strict=True)):
        pytest.skip("this processor's kernels give the same bits")
    proof = prove(data, "C4", runtime=run_alone)
    assert not proof.exact_bits, proof.reasons


def test_weights_whose_scales_onnxruntime_reads_along_another_axis_are_refused() -> None:
    """The filters tie as the file has them, and not with the scales that onnxruntime takes."""
    scales = np.array([1, 2, 1, 2], np.float32) / 100
    weights = np.zeros((4, 4, 3, 3), np.int8)
    for place in range(4):
        rotated = np.rot90(np.arange(9).reshape(3, 3) * 4 - 8, place)
        weights[place, (place + 1) % 4] = rotated / (1, 2, 1, 2)[(place + 1) % 4]
    body = (
        "c = Cast<to = 1>(image) u = Concat<axis = 1>(c, c, c, c) q = QuantizeLinear(u, S, O) "
        "x = DequantizeLinear(q, S, O) WEIGHTS v = Conv<pads = [1, 1, 1, 1]>(x, w) "
        "r = QuantizeLinear(v, T, Z) d = DequantizeLinear(r, T, Z) "
        + EVERYWHERE
        + "y = ReduceMax<keepdims = 0>(d, AX)"
    )
    constants = {"S": np.float32(1), "O": np.uint8(0), "T": np.float32(3), "Z": np.uint8(100)}
    constants["K"] = scales
    images = np.random.default_rng(0).integers(0, 256, (8, 1, 9, 9)).astype(np.uint8)
    for dequantised in (
        "w = DequantizeLinear<axis = 1>(W, K)",
        "p = DequantizeLinear<axis = 1>(W, K) w = Identity(p)",
    ):
        graph = body.replace("WEIGHTS", dequantised)
        data = _parse(graph, "uint8[N,1,9,9]", "float[a]", W=weights, **constants)
        runs = answers(data, images, optimised=True)
        assert runs is not None
        assert not same_bits(runs[0][0], runs[1][0])
        assert prove(data, "C4", runtime=run_alone).outcome == "NOT PROVED"
    filters = "w = DequantizeLinear<axis = 0>(W, K)"
    tied = np.stack([np.rot90(weights[3], place, (1, 2)) for place in range(4)])
    constants["K"] = np.full(4, 0.01, np.float32)
    data = _parse(
        body.replace("WEIGHTS", filters), "uint8[N,1,9,9]", "float[a]", W=tied, **constants
    )
    assert prove(data, "C4", runtime=run_alone).arithmetic == "quantised"
