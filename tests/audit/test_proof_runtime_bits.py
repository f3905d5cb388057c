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
}


@pytest.mark.xfail(strict=True, reason="the records take integers for exact wherever they occur")
@pytest.mark.parametrize("name", CASES)
def test_no_bits_are_claimed_that_the_runtime_does_not_give(name: str) -> None:
    data, image = CASES[name]
    runs = answers(data, image, optimised=False)
    assert runs is not None
    if all(same_bits(a, b) for run in runs[1:] for a, b in zip(runs[0], run, strict=True)):
        pytest.skip("this processor's kernels give the same bits")
    proof = prove(data, "C4", runtime=run_alone)
    assert not proof.exact_bits, proof.reasons
