"""What onnxruntime's kernels round by the place of an entry, or by the order of two terms."""

from typing import Any

import numpy as np
import pytest

from artifact.session import open_session
from audit.proof import prove
from tests.audit.fuzz.judge import run_alone, same_bits
from tests.audit.test_proof_cases import parse

_BATCH = (
    "s = Shape(x) N = Slice(s, ZERO, ONE, ZERO) EACH = Concat<axis = 0>(N, N, N, N, N) "
    "j = Concat<axis = 0>(x, x, r1, r2, r3) {} "
    "s0, s1, s2, s3, s4 = Split<axis = 0>(z, EACH) y = Max(s1, s2, s3, s4)"
)
_TURNED = "r0 = Identity(x) " + " ".join(
    f"t{k} = Transpose<perm = [0, 1, 3, 2]>(r{k - 1}) r{k} = Slice(t{k}, BACK, FIRST, ROWS, BACK)"
    for k in (1, 2, 3)
)
_TURNS: dict[str, Any] = {
    "BACK": np.array([-1]),
    "FIRST": np.array([-(2**63)]),
    "ROWS": np.array([2]),
}


def _keeps_bits(data: bytes, side: int, *, optimised: bool) -> bool:
    """Whether each of many images gets the same bits however it is rotated."""
    images = np.random.default_rng(0).random((300, 1, 1, side, side)).astype(np.float32) * 4
    session = open_session(data, threads=1, as_written=not optimised)
    return all(
        same_bits(session.run(None, {"x": image})[0], session.run(None, {"x": rotated})[0])
        for image in images
        for rotated in (np.rot90(image, turns, (2, 3)).copy() for turns in (1, 2, 3))
    )


def _network(nodes: str) -> bytes:
    return parse(
        f"{_TURNED} {nodes}",
        "float[N,1,5,5] x",
        "float[a,b,c,d] y",
        PIXELS=np.array([2, 3]),
        UNIT=np.ones(1, np.float32),
        NIL=np.zeros(1, np.float32),
        **_TURNS,
    )


def _in_one_batch(computed: str) -> bytes:
    """Ask of an image five times in one batch, rotated; the answer is the largest of four."""
    return _network(_BATCH.format(computed))


@pytest.mark.parametrize(
    "computed",
    [
        "z = ReduceSum(j, PIXELS)",
        "z = ReduceMean<axes = [2, 3]>(j)",
        "z = InstanceNormalization(j, UNIT, NIL)",
        "a = Add(j, UNIT) z = Log(a)",
        "z = Softplus(j)",
        "z = Cos(j)",
        "z = Atan(j)",
    ],
)
def test_rows_of_a_batch_that_the_runtime_rounds_otherwise_have_no_bits_in_common(
    computed: str,
) -> None:
    data = _in_one_batch(computed)
    if _keeps_bits(data, 5, optimised=False):
        pytest.skip("this processor's kernels give the same bits")
    proof = prove(data, runtime=run_alone)
    assert (proof.outcome, proof.arithmetic) == ("PROVED", "float"), proof.reasons


@pytest.mark.parametrize("computed", ["z = Tanh(j)", "z = GlobalAveragePool(j)"])
def test_rows_of_a_batch_that_the_runtime_rounds_alike_keep_their_bits(computed: str) -> None:
    data = _in_one_batch(computed)
    assert _keeps_bits(data, 5, optimised=False)
    assert prove(data, runtime=run_alone).arithmetic == "repeated"


def test_the_terms_of_a_quantised_sum_may_not_change_places() -> None:
    """onnxruntime adds 199 and 7 to 65, and 7 and 199 to 66."""
    body = (
        f"{_TURNED} a = Concat<axis = 1>(r0, r1, r2, r3, r0, r1) "
        "b = Concat<axis = 1>(r1, r2, r3, r0, r2, r3) "
        "p = QuantizeLinear(a, SX, ZX) q = QuantizeLinear(b, SX, ZX) "
        "c = DequantizeLinear(p, SX, ZX) d = DequantizeLinear(q, SX, ZX) e = Add(c, d) "
        "o = QuantizeLinear(e, SO, ZO) i = Cast<to = 6>(o) y = ReduceSum(i, ONE)"
    )
    constants: dict[str, Any] = {
        "SX": np.float32(0.0131),
        "ZX": np.uint8(3),
        "SO": np.float32(0.04),
        "ZO": np.uint8(5),
        **_TURNS,
    }
    data = parse(body, "float[N,1,8,8] x", "int32[a,b,c,d] y", **constants)
    assert _keeps_bits(data, 8, optimised=False)
    if _keeps_bits(data, 8, optimised=True):
        pytest.skip("this processor's kernels give the same bits")
    proof = prove(data, runtime=run_alone)
    assert (proof.outcome, proof.arithmetic) == ("PROVED", "float"), proof.reasons
    assert (proof.steps[0].op, proof.steps[0].effect) == ("Add", "step")


def _by_branches(computed: str) -> bytes:
    """Compute something of an image and of rotations of it, each by nodes of its own."""
    branches = "i0 = Identity(x) i1 = Identity(r1) i2 = Identity(r2) i3 = Identity(r3) "
    branches += " ".join(f"{computed} a{{k}} = Abs(z{{k}})".format(k=k) for k in range(4))
    return _network(f"{branches} y = Max(a0, a1, a2, a3)")


def _at_any_address(data: bytes) -> bool:
    """Whether images get the same bits from wherever the caller keeps them, optimised or not."""
    random = np.random.default_rng(0)
    for as_written in (False, True):
        session = open_session(data, threads=1, as_written=as_written)
        for _ in range(60):
            image = random.random((1, 1, 5, 5)).astype(np.float32) * 4
            memory = np.zeros(64 + image.size, np.float32)
            found = []
            for offset in range(16):
                place = memory[offset : offset + image.size].reshape(image.shape)
                place[:] = np.rot90(image, offset, (2, 3))
                found.append(session.run(None, {"x": place})[0])
            if not all(same_bits(found[0], each) for each in found):
                return False
    return True


_BY_ADDRESS = [
    "z{k} = ReduceSum(i{k}, PIXELS)",
    "z{k} = ReduceMean<axes = [2, 3]>(i{k})",
    "z{k} = ReduceL2<axes = [2, 3]>(i{k})",
    "z{k} = ReduceLogSumExp<axes = [2, 3]>(i{k})",
    "z{k} = InstanceNormalization(i{k}, UNIT, NIL)",
    "m{k} = Mul(i{k}, UNIT) z{k} = ReduceSum(m{k}, PIXELS)",
]


@pytest.mark.parametrize("computed", _BY_ADDRESS)
def test_what_the_runtime_rounds_by_the_address_of_the_image_has_no_bits_in_common(
    computed: str,
) -> None:
    proof = prove(_by_branches(computed), runtime=run_alone)
    assert (proof.outcome, proof.arithmetic) == ("PROVED", "float"), proof.reasons


@pytest.mark.parametrize("computed", ["z{k} = Tanh(i{k})", "z{k} = GlobalAveragePool(i{k})"])
def test_what_the_runtime_rounds_alike_at_every_address_keeps_its_bits(computed: str) -> None:
    data = _by_branches(computed)
    assert _at_any_address(data)
    assert prove(data, runtime=run_alone).arithmetic == "repeated"


@pytest.mark.parametrize("computed", _BY_ADDRESS)
def test_the_runtime_aligns_what_it_computes_itself(computed: str) -> None:
    turned = computed.replace("(i{k}", "(c{k}")
    data = _by_branches("c{k} = Abs(i{k}) " + turned)
    assert _at_any_address(data)
    assert prove(data, runtime=run_alone).arithmetic == "repeated"
