"""What a runtime makes of a file is held against the file, run node by node."""

import numpy as np
import pytest
from numpy.typing import NDArray

from artifact.rewriting import rewritten, two_or_more
from artifact.session import open_session
from tests.audit.test_proof_cases import parse

IMAGES = np.random.default_rng(1).integers(0, 256, (8, 1, 8, 8)).astype(np.uint8)


def normalising(
    scale: NDArray[np.float32], tail: str = "logits = Identity(h)", functions: str = ""
) -> bytes:
    """Behind an Add, onnxruntime normalises over one axis where a scale has one, whatever is said.

    Its logits are ``tail`` of what a matrix makes of the maxima of columns.
    """
    head = "f = Cast<to = 1>(image) p = Squeeze(f, ONE) q = Relu(p) a = Add(p, q)"
    body = "v = LayerNormalization<axis = 1>(a, S) m = ReduceMax<axes = [2], keepdims = 0>(v)"
    weights = np.random.default_rng(0).standard_normal((8, 3)).astype(np.float32)
    return parse(
        f"{head} {body} h = MatMul(m, W) {tail} probabilities = Softmax<axis = 1>(logits)",
        inputs="uint8[N,1,8,8] image",
        outputs="float[N,3] logits, float[N,3] probabilities",
        functions=functions,
        S=scale,
        W=weights,
        MASK=np.array([0, -np.inf, 0], np.float32),
        FAR=np.array([60, 0, 0], np.float32),
        NOTHING=np.array([0, np.nan, 0], np.float32),
    )


def found(model: bytes) -> str | None:
    logits = open_session(model, threads=1).run(["logits"], {"image": IMAGES})[0]
    return rewritten(model, IMAGES, logits)


ENTRIES, AXES = np.ones((8, 8), np.float32), np.ones(8, np.float32)


def test_another_function_than_the_file_says_is_told() -> None:
    told = found(normalising(AXES))
    assert told is not None and "differ by up to 0.69 of the largest" in told
    assert found(normalising(ENTRIES)) is None


def test_a_whole_step_of_integers_is_no_other_function() -> None:
    """A twentieth of the largest logit: more than a last bit, and less than another function."""
    to_integers = '<domain: "own", opset_import: ["" : 17]> steps (x) => (y) { y = Round(x) }'
    assert found(normalising(AXES, "logits = Add(h, FAR)")) is not None
    for tail, functions in (("Round(t)", ""), ("own.steps(t)", to_integers)):
        data = normalising(AXES, f"t = Add(h, FAR) logits = {tail}", functions)
        assert found(data) is None


def test_of_random_answers_nothing_is_said() -> None:
    assert found(normalising(AXES, "r = RandomNormalLike(h) logits = Add(h, r)")) is None


@pytest.mark.parametrize("constant", ["MASK", "NOTHING"])
def test_what_is_no_number_in_both_is_no_difference(constant: str) -> None:
    tail = f"logits = Add(h, {constant})"
    assert found(normalising(ENTRIES, tail)) is None
    assert found(normalising(AXES, tail)) is not None


def test_what_is_no_number_in_one_of_them_is_a_difference() -> None:
    model = normalising(ENTRIES)
    wrong = np.full((8, 3), np.nan, np.float32)
    assert "nan" in str(rewritten(model, IMAGES, wrong))


def test_fewer_logits_than_the_file_gives_are_a_difference() -> None:
    told = rewritten(normalising(ENTRIES), IMAGES, np.zeros((1, 3), np.float32))
    assert told is not None and "in the shape [1, 3] where the file's own" in told


def test_one_image_is_asked_about_beside_another() -> None:
    """A file may take the first image of a batch for all of them."""
    first, other = two_or_more(IMAGES[:1])
    assert np.array_equal(first, IMAGES[0])
    assert (first != other).all()
    assert np.array_equal(two_or_more(IMAGES), IMAGES)
