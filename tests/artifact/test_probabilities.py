"""Probabilities are held against the logits beside them."""

import numpy as np
import pytest
from numpy.typing import NDArray

from artifact.contract import softmax
from artifact.probabilities import unlike_logits
from tests.audit.test_proof_cases import parse

LOGITS = np.array([[50, 47, -3], [0.25, 0.5, -1.0]], np.float32)


def file(tail: str = "Identity(h)") -> bytes:
    return parse(
        f"f = Cast<to = 1>(image) h = Flatten(f) logits = {tail} probabilities = Softmax(logits)",
        inputs="uint8[N,1,1,3] image",
        outputs="float[N,3] logits, float[N,3] probabilities",
    )


def told(
    probabilities: NDArray[np.floating],
    model: bytes = b"",
    logits: NDArray[np.float32] = LOGITS,
    *,
    several: bool = False,
) -> str | None:
    given = probabilities.astype(np.float32)
    return unlike_logits(model or file(), logits, given, multi_label=several)


def test_probabilities_of_the_logits_are_accepted() -> None:
    assert told(softmax(LOGITS)) is None
    assert told(1 / (1 + np.exp(-LOGITS)), several=True) is None


@pytest.mark.parametrize(
    "probabilities",
    [
        np.full((2, 3), 1 / 3),
        softmax(LOGITS)[:, ::-1],
        softmax(LOGITS / 2),
        1 / (1 + np.exp(-LOGITS)),
        np.full((2, 3), np.nan),
        np.where(LOGITS == 50, np.inf, softmax(LOGITS)),
    ],
    ids=["constant", "other classes", "other temperature", "sigmoids", "nan", "infinite"],
)
def test_others_are_told(probabilities: NDArray[np.float64]) -> None:
    sentence = told(probabilities)
    assert sentence is not None and "are not the softmax of its logits" in sentence
    assert "the sigmoids of" in str(told(softmax(LOGITS), several=True))


def test_nearly_equal_probabilities_of_many_classes_are_compared_with_each_other() -> None:
    logits = np.random.default_rng(0).standard_normal((2, 1000)).astype(np.float32)
    assert told(np.full((2, 1000), 1e-3), logits=logits) is not None
    assert told(softmax(logits), logits=logits) is None


def test_half_precision_is_accepted() -> None:
    """Also where the softmax read logits that were not rounded yet."""
    for size in (1, 10, 60):
        exact = size * np.random.default_rng(size).standard_normal((99, 10)).astype(np.float32)
        halves = softmax(exact).astype(np.float16)
        halves[halves < 2.0**-14] = 0  # as devices that have no smaller ones do
        assert told(halves, logits=exact.astype(np.float16).astype(np.float32)) is None


def test_steps_of_eight_bits_are_accepted_where_a_file_rounds() -> None:
    logits = np.zeros((2, 20), np.float32)
    steps = np.round(127 * softmax(logits)) / 127
    assert told(steps, file("Round(h)"), logits) is None
    assert told(steps, logits=logits) is not None
    assert told(np.full((2, 3), 1 / 3), file("Round(h)")) is not None


def test_of_an_image_without_an_answer_nothing_is_said() -> None:
    logits = np.vstack([LOGITS, np.full((1, 3), np.nan, np.float32)])
    assert told(np.vstack([softmax(LOGITS), np.zeros((1, 3))]), logits=logits) is None
