import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from imaging import grid_symmetries
from models.groups import Group, left_quotients

NAMES = ["trivial", "C4", "D4", "C8", "D8", "C12", "C16", "D16"]
groups = st.sampled_from([Group.named(name) for name in NAMES])


@st.composite
def elements(draw, count):
    group = draw(groups)
    return group, *(draw(st.sampled_from(group.elements)) for _ in range(count))


@given(elements(3))
def test_product_is_associative(case):
    group, a, b, c = case
    assert group.product(group.product(a, b), c) == group.product(a, group.product(b, c))


@given(elements(1))
def test_identity_and_inverse(case):
    group, g = case
    assert group.product(g, 0) == g == group.product(0, g)
    assert group.product(g, group.inverse(g)) == 0 == group.product(group.inverse(g), g)


@given(elements(2))
def test_product_is_that_of_the_matrices(case):
    group, g, h = case

    def matrix(element):
        mirrored, steps = divmod(element, group.rotations)
        t = 2 * np.pi * steps / group.rotations
        rotation = np.array([[np.cos(t), -np.sin(t)], [np.sin(t), np.cos(t)]])
        return rotation @ np.diag([-1, 1]) if mirrored else rotation

    np.testing.assert_allclose(matrix(group.product(g, h)), matrix(g) @ matrix(h), atol=1e-12)


@given(elements(2))
def test_left_quotients_solve_for_the_right_factor(case):
    group, g, h = case
    assert group.product(g, left_quotients(group)[g][h]) == h


@given(elements(2))
def test_grid_action_is_a_homomorphism(case):
    group, g, h = case
    grid = group.grid_elements()
    if g in grid and h in grid:
        assert grid[group.product(g, h)] == grid[g] @ grid[h]


@given(elements(1))
def test_factorisation_multiplies_back(case):
    group, g = case
    factor = group.factorise(g)
    assert 0 <= factor.sector < group.sectors
    on_grid = {symmetry: element for element, symmetry in group.grid_elements().items()}
    assert group.product(on_grid[factor.grid], factor.sector) == g


@given(groups, groups)
def test_right_cosets_partition_the_group(group, subgroup):
    if group.rotations % subgroup.rotations or subgroup.mirrored > group.mirrored:
        with pytest.raises(ValueError, match="not a subgroup"):
            group.right_cosets(subgroup)
        return
    cosets = group.right_cosets(subgroup)
    assert sorted(g for coset in cosets for g in coset) == list(group.elements)
    members = cosets[0]
    assert members[0] == 0
    for h, g in enumerate(members):  # the subgroup's elements, in the subgroup's own order
        for k, f in enumerate(members):
            assert group.product(g, f) == members[subgroup.product(h, k)]
    for coset in cosets:
        assert coset == [group.product(h, coset[0]) for h in members]


@pytest.mark.parametrize("name", NAMES)
def test_name_and_grid_agree_with_imaging(name):
    group = Group.named(name)
    assert group.name == name
    assert set(group.grid_elements().values()) == set(grid_symmetries(name))


@pytest.mark.parametrize("name", ["C3", "C6", "D2", "C0", "Q8", "c4", ""])
def test_groups_without_quarter_turns_are_refused(name):
    with pytest.raises(ValueError, match=r"accepted|asked for"):
        Group.named(name)
