"""One measure of how far answers are apart."""

import math

import numpy as np
import pytest

from artifact.contract import softmax
from artifact.deviation import largest_logit, relative
from service.shadow.tally import compare


def test_a_deviation_is_relative_to_the_largest_logit_of_all_answers_that_are_compared() -> None:
    upright, rotated = np.array([[1, -8], [2, 3]], np.float32), np.array([[1, -9], [2, 3]])
    assert largest_logit(upright, rotated) == 9
    assert largest_logit(upright) == 8
    assert relative(0.9, 9.0) == pytest.approx(0.1)
    assert compare(upright[0], rotated[0].astype(np.float32)).deviation == 1 / 9


def test_where_all_logits_are_zero_none_moved() -> None:
    assert relative(0.0, 0.0) == 0
    assert (relative(np.zeros(2), 0.0) == 0).all()


@pytest.mark.parametrize("order", [1, -1])
def test_a_logit_that_is_no_number_is_the_largest_wherever_it_stands(order: int) -> None:
    answers = [np.array([1.0]), np.array([math.nan]), np.array([5.0])][::order]
    assert math.isnan(largest_logit(*answers))


def test_probabilities_are_those_of_logits_of_any_size() -> None:
    found = softmax(np.array([[1e4, 1e4], [0, np.log(3)]], np.float32))
    np.testing.assert_allclose(found, [[0.5, 0.5], [0.25, 0.75]], rtol=1e-7)
