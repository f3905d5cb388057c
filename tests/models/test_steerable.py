import math

import numpy as np
import pytest
import torch

from models.equivariance import assert_equivariant, rotation_error
from models.filters import GridBasis, rotate
from models.groups import Group
from models.layers import GroupConv, LiftingConv, SeparableGroupConv
from models.steerable import SteerableBasis, frequencies

FINE = [Group.named(name) for name in ("C8", "D8", "C16")]
by_name = pytest.mark.parametrize("group", FINE, ids=lambda group: group.name)


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


def waves(angle, side=15, count=6):
    """Random sums of plane waves of at least six pixels, rotated about the centre by ``angle``."""
    random = np.random.default_rng(1)
    y, x = np.mgrid[:side, :side] - side // 2
    turned_x = x * math.cos(angle) - y * math.sin(angle)
    turned_y = x * math.sin(angle) + y * math.cos(angle)
    images = np.zeros((count, 1, side, side))
    for image in images:
        for _ in range(4):
            k, t, phase = random.uniform(0, 2 * np.pi / 6), *random.uniform(0, 2 * np.pi, 2)
            image[0] += np.cos(k * (np.cos(t) * turned_x + np.sin(t) * turned_y) + phase)
    return torch.from_numpy(images)


@by_name
def test_layers_commute_exactly_with_the_quarter_turns(group):
    lift = LiftingConv(group, SteerableBasis(5), 1, 3, padding=2).double()
    x = torch.randn(2, 1, 9, 9, dtype=torch.float64)
    assert_equivariant(lift, group, x, tolerance=1e-10)
    for kind in (GroupConv, SeparableGroupConv):
        conv = kind(group, SteerableBasis(3), 3, 2, padding=1).double()
        assert_equivariant(lambda x, conv=conv: conv(lift(x)), group, x, tolerance=1e-10)


@by_name
def test_filters_that_differ_by_a_quarter_turn_hold_the_same_bits(group):
    basis = SteerableBasis(5)
    rotated = rotate(torch.randn(4, 3, basis.dimension), basis, group)
    quarter = group.sectors
    for g in range(group.rotations):
        later = (g + quarter) % group.rotations
        assert torch.equal(torch.rot90(rotated[:, :, g], 1, (-2, -1)), rotated[:, :, later])


@by_name
def test_layers_nearly_commute_with_the_rotations_in_between(group):
    """On waves of six pixels and more: measured 0.03 to 0.05, which the pixel grid causes."""
    lift = LiftingConv(group, SteerableBasis(5), 1, 8).double()
    conv = GroupConv(group, SteerableBasis(5), 8, 8).double()
    assert rotation_error(lift, group, waves) < 0.06
    assert rotation_error(lambda x: conv(lift(x)), group, waves) < 0.06


def test_the_bound_refuses_filters_that_are_rotated_the_wrong_way():
    group = Group.named("C8")
    lift = LiftingConv(group, SteerableBasis(5), 1, 8).double()

    def mirrored(x):
        return lift(x.flip(-1))

    assert rotation_error(mirrored, group, waves) > 0.5


def test_the_bound_refuses_eight_rotations_of_a_grid_filter_by_nearest_pixels():
    """A bank whose odd orientations repeat the even ones: C8 without a basis."""
    group = Group.named("C8")
    coarse = LiftingConv(Group.named("C4"), GridBasis(5), 1, 8).double()

    def lift(x):
        return coarse(x).repeat_interleave(2, dim=2)

    assert rotation_error(lift, group, waves) > 0.5


def test_frequencies_are_limited_as_in_the_paper():
    by_ring = {r: max(m for ring, m in frequencies(7) if ring == r) for r in range(4)}
    assert by_ring == {0: 0, 1: 2, 2: 3, 3: 2}
    assert SteerableBasis(5).dimension == 1 + 5 + 5


def test_an_even_filter_is_refused():
    with pytest.raises(ValueError, match="3 and 5 work"):
        SteerableBasis(4)
