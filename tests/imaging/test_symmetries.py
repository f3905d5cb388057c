import itertools

import numpy as np
import pytest

from imaging import GridSymmetry, grid_symmetries

D4 = grid_symmetries("D4")
IDENTITY = GridSymmetry(False, 0)

# No symmetry of the square but the identity maps this onto itself.
LETTER = np.arange(2 * 3 * 3).reshape(2, 3, 3)


def test_the_product_acts_as_one_element_after_the_other() -> None:
    for g, h in itertools.product(D4, D4):
        assert np.array_equal((g @ h)(LETTER), g(h(LETTER))), (g, h)


def test_the_inverse_undoes_the_element() -> None:
    for g in D4:
        assert g.inverse() @ g == g @ g.inverse() == IDENTITY
        assert np.array_equal(g.inverse()(g(LETTER)), LETTER)


def test_the_eight_elements_of_d4_act_differently() -> None:
    assert len({g(LETTER).tobytes() for g in D4}) == 8


def test_a_quarter_turn_is_counterclockwise() -> None:
    right_end_lit = np.array([[0, 0, 9], [0, 0, 9], [0, 0, 9]])
    top_lit = np.array([[9, 9, 9], [0, 0, 0], [0, 0, 0]])
    assert np.array_equal(GridSymmetry(False, 1)(right_end_lit), top_lit)


def test_a_mirror_comes_before_the_rotation() -> None:
    row = np.array([[1, 2]])
    assert np.array_equal(GridSymmetry(True, 0)(row), [[2, 1]])
    assert np.array_equal(GridSymmetry(True, 1)(row), [[1], [2]])


def test_a_group_acts_on_the_grid_by_these_elements() -> None:
    for group, names in [
        ("trivial", ["identity"]),
        ("C1", ["identity"]),
        ("C2", ["identity", "r180"]),
        ("C3", ["identity"]),
        ("C4", ["identity", "r90", "r180", "r270"]),
        ("C6", ["identity", "r180"]),
        ("C8", ["identity", "r90", "r180", "r270"]),
        ("C16", ["identity", "r90", "r180", "r270"]),
        ("D1", ["identity", "m"]),
        ("D2", ["identity", "r180", "m", "m r180"]),
        ("D4", ["identity", "r90", "r180", "r270", "m", "m r90", "m r180", "m r270"]),
        ("D8", ["identity", "r90", "r180", "r270", "m", "m r90", "m r180", "m r270"]),
    ]:
        assert [g.name for g in grid_symmetries(group)] == names


def test_the_elements_of_a_group_are_closed_under_product_and_inverse() -> None:
    for group in ["C2", "C4", "C16", "D1", "D2", "D4"]:
        elements = set(grid_symmetries(group))
        assert {g @ h for g in elements for h in elements} == elements
        assert {g.inverse() for g in elements} == elements


def test_another_name_is_refused_by_name() -> None:
    for group in ["", "C", "C0", "C-4", "c4", "E4", "C4 ", "C٤", "SO(2)"]:
        with pytest.raises(ValueError, match="There is no group") as refusal:
            grid_symmetries(group)
        assert repr(group) in str(refusal.value)


def test_quarter_turns_outside_the_group_are_refused() -> None:
    with pytest.raises(ValueError, match="quarter_turns is 4"):
        GridSymmetry(False, 4)
