"""Group-equivariant layers over feature fields ``[N, C, |G|, H, W]``.

A feature field is a function on the group at every pixel. An element ``u`` acts on it by moving
the pixels and by permuting the group axis: ``(u . F)(g) = u . F(u^-1 g)``. Every layer ``f`` here
satisfies ``f(u . x) = u . f(x)``. Source: Cohen and Welling, "Group Equivariant Convolutional
Networks", ICML 2016. The trivial group makes each of them its ordinary counterpart.
"""

import math
from abc import ABC, abstractmethod
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.filters import FilterBasis, rotate, rotate_field, shift_over_group
from models.groups import Group


class PlainConv(NamedTuple):
    """A convolution without groups: a filter bank ``[C', C / blocks, k, k]`` and how it slides."""

    weight: Tensor
    stride: int = 1
    padding: int = 0
    blocks: int = 1


class GroupLinearMap(nn.Module, ABC):
    """A convolution over pixels and group, as one or two plain convolutions of expanded filters."""

    def __init__(
        self,
        group: Group,
        basis: FilterBasis,
        in_channels: int,
        out_channels: int,
        *,
        stride: int = 1,
        padding: int = 0,
    ) -> None:
        super().__init__()
        self.group, self.basis = group, basis
        self.stride, self.padding = stride, padding
        self.build(in_channels, out_channels)

    @abstractmethod
    def build(self, in_channels: int, out_channels: int) -> None:
        """Make the parameters: coefficients of base filters in ``basis``."""

    @abstractmethod
    def expand(self) -> tuple[PlainConv, ...]:
        """Return the plain convolutions that this one is, in order; training uses them too."""

    def forward(self, x: Tensor) -> Tensor:
        """Convolve an image or a field, to a field."""
        y = x.flatten(1, -3)
        for conv in self.expand():
            y = F.conv2d(y, conv.weight, None, conv.stride, conv.padding, 1, conv.blocks)
        return y.unflatten(1, (-1, self.group.order))


class LiftingConv(GroupLinearMap):
    """Convolve an image with a filter's rotated copies: ``[N, C, H, W] -> [N, C', |G|, H, W]``.

    ``(x * w)(g) = sum_y x(y) (g . w)(y)``: Cohen and Welling 2016, equation 10.
    """

    def build(self, in_channels: int, out_channels: int) -> None:
        """Make ``weight``."""
        self.weight = _parameter(out_channels, in_channels, self.basis.dimension)

    def expand(self) -> tuple[PlainConv]:
        """Return one convolution with a bank ``[C' |G|, C, k, k]``."""
        rotated = rotate(self.weight, self.basis, self.group)  # [C', C, g, k, k]
        bank = rotated.transpose(1, 2).flatten(0, 1)
        return (PlainConv(bank, self.stride, self.padding),)


class GroupConv(GroupLinearMap):
    """Convolve a field over pixels and group: ``[N, C, |G|, H, W] -> [N, C', |G|, H, W]``.

    ``(x * w)(g) = sum_h sum_y x(y, h) (g . w)(y, h)`` where ``(g . w)(., h) = g . w(., g^-1 h)``:
    Cohen and Welling 2016, equation 11.
    """

    def build(self, in_channels: int, out_channels: int) -> None:
        """Make ``weight``."""
        self.weight = _parameter(out_channels, in_channels, self.group.order, self.basis.dimension)

    def expand(self) -> tuple[PlainConv]:
        """Return one convolution with a bank ``[C' |G|, C |G|, k, k]``."""
        rotated = rotate_field(self.weight, self.basis, self.group)  # [C', C, g, h, k, k]
        bank = rotated.transpose(1, 2).flatten(2, 3).flatten(0, 1)
        return (PlainConv(bank, self.stride, self.padding),)


class SeparableGroupConv(GroupLinearMap):
    """Convolve a field over channels and group first, then over pixels alone.

    The filter is the product of a 1 x 1 filter over channels and group and of one spatial filter a
    channel, rotated with the orientation that it is applied to: Lengyel and van Gemert, "Exploiting
    Learned Symmetries in Group Equivariant Convolutions", ICIP 2021.
    """

    def build(self, in_channels: int, out_channels: int) -> None:
        """Make ``mixing``, over channels and group, and ``weight``, over pixels."""
        self.mixing = _parameter(out_channels, in_channels, self.group.order)
        self.weight = _parameter(out_channels, self.basis.dimension)

    def expand(self) -> tuple[PlainConv, PlainConv]:
        """Return a bank ``[C' |G|, C |G|, 1, 1]`` and a depthwise one ``[C' |G|, 1, k, k]``."""
        mixing = shift_over_group(self.mixing, self.group)  # [C', C, g, h]
        mixing = mixing.transpose(1, 2).flatten(2, 3).flatten(0, 1)[..., None, None]
        depthwise = rotate(self.weight, self.basis, self.group).flatten(0, 1)[:, None]
        spatial = PlainConv(depthwise, self.stride, self.padding, len(depthwise))
        return PlainConv(mixing), spatial


class GroupBatchNorm(nn.BatchNorm3d):
    """Batch normalisation of a field: one mean, deviation, scale and shift for all of an orbit."""


class GroupMaxPool2d(nn.Module):
    """Max pooling over pixels, apart for each group element: a field stays a field."""

    def __init__(self, kernel_size: int, stride: int, padding: int = 0) -> None:
        super().__init__()
        self.kernel_size, self.stride, self.padding = kernel_size, stride, padding

    def forward(self, x: Tensor) -> Tensor:
        """Pool the field ``x``."""
        y = F.max_pool2d(x.flatten(1, 2), self.kernel_size, self.stride, self.padding)
        return y.unflatten(1, x.shape[1:3])


class Restriction(nn.Module):
    """Forget a part of the symmetry: a field of ``group`` becomes fields of its ``subgroup``.

    The regular representation of a group, restricted to a subgroup ``H``, is one regular
    representation of ``H`` for each right coset ``H t``, so that ``F'(c, t)(h) = F(c)(h t)``:
    ``[N, C, |G|, H, W] -> [N, C |G| / |H|, |H|, H, W]``. No value changes.

    Raises
    ------
    ValueError
        If ``subgroup`` is not a subgroup.
    """

    order: Tensor

    def __init__(self, group: Group, subgroup: Group) -> None:
        super().__init__()
        self.subgroup = subgroup
        order = [g for coset in group.right_cosets(subgroup) for g in coset]
        self.register_buffer("order", torch.tensor(order), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Restrict the field ``x``."""
        return x.index_select(2, self.order).flatten(1, 2).unflatten(1, (-1, self.subgroup.order))


class GroupPool(nn.Module):
    """Maximum over the group: a field ``[N, C, |G|, H, W]`` becomes an image ``[N, C, H, W]``.

    What is left moves with the pixels alone: Cohen and Welling 2016, section 6.3 (coset pooling by
    the whole group).
    """

    def forward(self, x: Tensor) -> Tensor:
        """Pool the field ``x``."""
        return x.amax(2)


def _parameter(*shape: int) -> nn.Parameter:
    """He initialisation: deviation ``sqrt(2 / fan_in)``, where all axes but the first feed in."""
    return nn.Parameter(torch.randn(shape) * math.sqrt(2 / math.prod(shape[1:])))
