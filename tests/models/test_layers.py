from itertools import product

import pytest
import torch
from torch import nn

from models.equivariance import act, assert_equivariant, equivariance_error
from models.filters import GridBasis
from models.groups import Group
from models.layers import (
    GroupBatchNorm,
    GroupConv,
    GroupMaxPool2d,
    GroupPool,
    LiftingConv,
    Restriction,
    SeparableGroupConv,
)
from models.steerable import SteerableBasis

GROUPS = [Group.named(name) for name in ("C4", "D4")]
by_name = pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)


def integers(*shape, dtype=torch.float32):
    return torch.randint(-8, 9, shape).to(dtype)


def image(size=7):
    return integers(2, 3, size, size)


def field(group, size=7):
    return integers(2, 3, group.order, size, size)


def with_integer_weights(layer):
    with torch.no_grad():
        for parameter in layer.parameters():
            parameter.copy_(integers(*parameter.shape))
    return layer


def lifting(group, kernel=3, **window):
    return with_integer_weights(LiftingConv(group, GridBasis(kernel), 3, 5, **window))


def convolution(group, kernel=3, **window):
    return with_integer_weights(GroupConv(group, GridBasis(kernel), 3, 5, **window))


@pytest.fixture(autouse=True)
def _seed():
    torch.manual_seed(0)


@by_name
def test_convolutions_commute_bit_for_bit(group):
    for (stride, padding), kernel in product([(1, 0), (1, 1), (2, 1), (2, 0)], [1, 2, 3, 4, 5]):
        size = 8 + kernel % 2 if stride == 2 else 7
        assert_equivariant(
            lifting(group, kernel, stride=stride, padding=padding), group, image(size)
        )
        for kind in (GroupConv, SeparableGroupConv):
            layer = kind(group, GridBasis(kernel), 3, 5, stride=stride, padding=padding)
            assert_equivariant(with_integer_weights(layer), group, field(group, size))


@by_name
def test_convolutions_commute_in_float64(group):
    lift = LiftingConv(group, GridBasis(5), 3, 4, padding=2).double()
    conv = GroupConv(group, GridBasis(3), 4, 4, padding=1).double()
    x = torch.randn(2, 3, 9, 9, dtype=torch.float64)
    assert_equivariant(lambda x: conv(lift(x)), group, x, tolerance=1e-10)


@by_name
def test_batch_norm_shares_statistics_on_an_orbit(group):
    norm = GroupBatchNorm(3).double()
    x = field(group).double() ** 2
    norm(x)  # moves the running statistics
    with torch.no_grad():
        norm.weight.normal_()
        norm.bias.normal_()
    assert_equivariant(norm.eval(), group, x, tolerance=1e-10)
    assert norm.running_mean.shape == (3,)


@by_name
def test_pooling_commutes(group):
    assert_equivariant(GroupMaxPool2d(2, 2), group, field(group, 8))
    assert_equivariant(GroupMaxPool2d(3, 2, 1), group, field(group, 7))


@by_name
def test_pooling_over_the_group_leaves_an_image(group):
    assert_equivariant(GroupPool(), group, field(group))
    assert GroupPool()(field(group)).shape == (2, 3, 7, 7)


@pytest.mark.parametrize(
    ("name", "part"), [("D4", "C4"), ("D8", "D4"), ("D8", "C8"), ("C8", "C4"), ("D4", "D4")]
)
def test_a_restriction_commutes_with_the_subgroup_and_keeps_all_values(name, part):
    group, subgroup = Group.named(name), Group.named(part)
    restriction, x = Restriction(group, subgroup), field(group)
    y = restriction(x)
    assert y.shape[1:3] == (3 * group.order // subgroup.order, subgroup.order)
    assert torch.equal(y.flatten().sort().values, x.flatten().sort().values)
    members = group.right_cosets(subgroup)[0]
    for h, symmetry in subgroup.grid_elements().items():
        rotated = act(group, members[h], symmetry, x)
        assert torch.equal(restriction(rotated), act(subgroup, h, symmetry, y))


def test_a_separable_convolution_is_the_dense_one_of_the_product_filter():
    group = Group.named("D4")
    layer = with_integer_weights(SeparableGroupConv(group, GridBasis(3), 2, 3, padding=1))
    dense = GroupConv(group, GridBasis(3), 2, 3, padding=1)
    with torch.no_grad():
        dense.weight.copy_(layer.mixing[..., None] * layer.weight[:, None, None])
    x = integers(2, 2, 8, 5, 5)
    assert torch.equal(layer(x), dense(x))


@by_name
def test_the_vocabulary_refuses_one_changed_tap(group):
    layer = convolution(group)
    bank = layer.expand()[0].weight.clone()
    bank[1, 0, 0, 0] += 1
    broken = nn.Conv2d(*bank.shape[1::-1], 3, bias=False)
    broken.weight = nn.Parameter(bank.detach())

    def run(x):
        return broken(x.flatten(1, 2)).unflatten(1, (-1, group.order))

    with pytest.raises(AssertionError, match="Not equivariant"):
        assert_equivariant(run, group, field(group))


@by_name
def test_the_vocabulary_refuses_padding_on_one_side(group):
    layer = lifting(group)

    def run(x):
        return layer(nn.functional.pad(x, (1, 0, 1, 0)))

    with pytest.raises(AssertionError, match="Not equivariant"):
        assert_equivariant(run, group, image())


@by_name
def test_the_vocabulary_refuses_pooling_that_does_not_tile(group):
    with pytest.raises(AssertionError, match="Not equivariant"):
        assert_equivariant(GroupMaxPool2d(2, 2), group, field(group, 7))


@by_name
def test_the_vocabulary_refuses_statistics_of_single_orientations(group):
    x = field(group)
    norm = nn.BatchNorm2d(3 * group.order)

    def run(x):
        return norm(x.flatten(1, 2)).unflatten(1, (-1, group.order))

    run(x)
    norm.eval()
    assert equivariance_error(run, group, x) > 1e-3


def test_a_trivial_group_makes_a_plain_convolution():
    layer, x = lifting(Group.named("trivial"), padding=1), image()
    plain = nn.functional.conv2d(x, layer.weight.unflatten(-1, (3, 3)), padding=1)
    assert torch.equal(layer(x)[:, :, 0], plain)


def test_a_grid_basis_does_not_rotate_by_45_degrees():
    with pytest.raises(ValueError, match="steerable"):
        LiftingConv(Group.named("C8"), GridBasis(3), 1, 1).expand()


@pytest.mark.parametrize("basis", [GridBasis(3), SteerableBasis(3)], ids=["grid", "steerable"])
@pytest.mark.parametrize("name", ["trivial", "D4"])
def test_what_is_drawn_first_doubles_the_mean_square_which_a_relu_halves(name, basis):
    """He et al., ICCV 2015, equation 10: so deep networks neither fade nor overflow."""
    torch.manual_seed(0)
    group = Group.named(name)
    image, field = torch.randn(4, 30, 12, 12), torch.randn(4, 30, group.order, 12, 12)
    for layer, x, factor in (
        (LiftingConv(group, basis, 30, 60), image, 2),
        (GroupConv(group, basis, 30, 60), field, 2),
        (SeparableGroupConv(group, basis, 30, 60), field, 4),  # of two maps, one after the other
    ):
        with torch.no_grad():
            assert layer(x).square().mean().item() == pytest.approx(factor, rel=0.15)
