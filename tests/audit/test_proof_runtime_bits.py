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


COLOURS = np.random.default_rng(0).integers(0, 255, (8, 3, 5, 5)).astype(np.uint8)

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
    # 255, which pads, and what is beside it; no entry itself is more than 100.
    "what pads is added in 16 bits": (
        _parse(
            "f = Cast<to = 1>(image) b = Clip(f, , MOST) m = Cast<to = 2>(b) "
            "q = QLinearConv<pads = [1, 1, 1, 1]>(m, ONE, PADS, W, ONE, ZERO, UNIT, MID) "
            "d = Cast<to = 6>(q) " + EVERYWHERE + "y = ReduceSum<keepdims = 0>(d, AX)",
            "uint8[N,3,5,5]",
            "int32[a]",
            W=np.full((1, 3, 3, 3), 127, np.int8),
            MOST=np.float32(100),
            ONE=np.float32(1),
            PADS=np.uint8(255),
            ZERO=np.int8(0),
            UNIT=np.float32(27 * 127),
            MID=np.uint8(250),
        ),
        COLOURS,
    ),
    "filters of unsigned bytes beside what pads": (
        _parse(
            "f = Cast<to = 1>(image) b = Clip(f, , MOST) m = Cast<to = 3>(b) "
            "q = ConvInteger<pads = [1, 1, 1, 1]>(m, W, PADS) "
            + EVERYWHERE
            + "y = ReduceSum<keepdims = 0>(q, AX)",
            "uint8[N,3,5,5]",
            "int32[a]",
            W=np.full((1, 3, 3, 3), 255, np.uint8),
            MOST=np.float32(5),
            PADS=np.int8(127),
        ),
        COLOURS,
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
    constants: dict[str, Any] = {
        "S": np.float32(1),
        "O": np.uint8(0),
        "T": np.float32(3),
        "Z": np.uint8(100),
    }
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


SQUARES = np.random.default_rng(0).integers(0, 256, (8, 1, 8, 8)).astype(np.uint8)


def _deviates(data: bytes, images: Array) -> bool:
    runs = answers(data, images, optimised=True)
    assert runs is not None
    return not same_bits(runs[0][0], runs[1][0])


@pytest.mark.parametrize("product", ["MatMul", "Gemm"])
def test_weights_of_a_product_that_nothing_quantises_are_misread_as_well(product: str) -> None:
    data = _parse(
        "d = DequantizeLinear(image, S, O) r = Reshape(d, SHAPE) "
        f"w = DequantizeLinear<axis = 0>(W, K, Z) y = {product}(r, w)",
        "uint8[N,1,2,2]",
        "float[a, b]",
        S=np.float32(0.5),
        O=np.uint8(3),
        SHAPE=np.array([-1, 4]),
        W=np.array([[2], [1], [2], [1]], np.int8) * np.array([[1, 3, -2, 5]], np.int8),
        K=np.array([1, 2, 1, 2], np.float32),
        Z=np.zeros(4, np.int8),
    )
    assert _deviates(data, SQUARES[:, :, :2, :2])
    assert prove(data, "C4", runtime=run_alone).outcome == "NOT PROVED"


@pytest.mark.parametrize("product", ["MatMul", "Gemm"])
def test_no_bits_are_claimed_of_floats_times_stored_integers(product: str) -> None:
    """onnxruntime quantises the floats by blocks, whose entries a rotation changes."""
    quarter = np.random.default_rng(0).integers(-8, 9, (8, 8, 4))
    data = _parse(
        f"c = Cast<to = 1>(image) f = Flatten(c) w = DequantizeLinear(W, K) y = {product}(f, w)",
        "uint8[N,1,8,8]",
        "float[a, b]",
        W=np.sum([np.rot90(quarter, turns) for turns in range(4)], axis=0)
        .reshape(64, 4)
        .astype(np.int8),
        K=np.float32(1),
    )
    assert _deviates(data, SQUARES)
    proof = prove(data, "C4", runtime=run_alone)
    assert proof.arithmetic == "float"
    assert [step.effect for step in proof.steps] == ["step"]


def test_several_scales_of_data_are_refused() -> None:
    """onnxruntime quantises all probabilities by the first: four scales, and each is once first."""
    body = "c = Cast<to = 1>(image) v = Conv(c, W) m = GlobalMaxPool(v) n = Mul(m, F) "
    scales = np.array([0.01, 0.003, 0.002, 0.02], np.float32)
    constants: dict[str, Any] = {"ONE": np.array([1]), "Z": np.zeros(4, np.uint8)}
    for place in range(4):
        body += (
            f"n{place} = Gather<axis = 1>(n, I{place}) q{place} = QuantizeLinear(n{place}, T, O) "
            f"d{place} = DequantizeLinear(q{place}, T, O) s{place} = Softmax<axis = 1>(d{place}) "
            f"a{place} = QuantizeLinear<axis = 1>(s{place}, S{place}, Z) "
            f"e{place} = DequantizeLinear<axis = 1>(a{place}, S{place}, Z) "
            f"p{place} = Slice(e{place}, B{place}, E{place}, ONE) "
        )
        moved = 2 * place % 4
        constants[f"I{place}"] = np.roll(np.arange(4), -place)
        constants[f"S{place}"] = np.roll(scales, -moved)
        constants[f"B{place}"] = np.array([-moved % 4])
        constants[f"E{place}"] = np.array([-moved % 4 + 1])
    weights = np.arange(9, dtype=np.float32).reshape(3, 3) - 4
    data = _parse(
        body + "g = Max(p0, p1, p2, p3) y = Flatten(g)",
        "uint8[N,1,8,8]",
        "float[a, b]",
        W=np.stack([np.rot90(weights, turns)[None] for turns in range(4)]),
        F=np.float32(0.002),
        T=np.float32(0.02),
        O=np.uint8(0),
        **constants,
    )
    assert _deviates(data, SQUARES)
    assert prove(data, "C4", runtime=run_alone).outcome == "NOT PROVED"


def test_a_product_too_small_for_floats_leaves_a_zero_below_zero() -> None:
    """It is added before it is rounded: -0.0, beside which a maximum is in doubt."""
    small = np.full((1, 1), -1e-30, np.float32)
    data = _parse(
        "a = Cast<to = 1>(image) m = GlobalMaxPool(a) s = Mul(m, F) f = Flatten(s) "
        "p = MatMul(f, W) q = Reshape(p, SHAPE) z = Mul(a, NIL) g = Max(q, z) "
        + EVERYWHERE
        + "y = ReduceMax<keepdims = 0>(g, AX)",
        "uint8[N,1,7,7]",
        "float[a]",
        F=np.float32(1e-30),
        W=small,
        SHAPE=np.array([-1, 1, 1, 1]),
        NIL=np.float32(0),
    )
    proof = prove(data, "C4", runtime=run_alone)
    assert not proof.exact_bits
