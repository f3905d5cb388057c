"""Group-equivariant layers over feature fields ``[N, C, |G|, H, W]``.

A feature field is a function on the group at every pixel. An element ``u`` acts on it by moving
the pixels and by permuting the group axis: ``(u . F)(g) = u . F(u^-1 g)``. Every layer ``f`` here
satisfies ``f(u . x) = u . f(x)``. Source: Cohen and Welling, "Group Equivariant Convolutional
Networks", ICML 2016. The trivial group makes each of them its ordinary counterpart.
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from models.filters import FilterBasis, turn
from models.groups import Group, left_quotients


class LiftingConv(nn.Module):
    """Convolve an image with all turned copies of a filter: ``[N, C, H, W] -> [N, C', |G|, H, W]``.

    ``(x * w)(g) = sum_y x(y) (g . w)(y)``: Cohen and Welling 2016, equation 10.
    """

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
        self.weight = nn.Parameter(torch.empty(out_channels, in_channels, basis.dimension))
        _initialise(self.weight)

    def expand(self) -> Tensor:
        """Return the filter bank of the plain convolution: ``[C' |G|, C, k, k]``."""
        turned = turn(self.weight, self.basis, self.group)  # [C', C, g, k, k]
        return turned.transpose(1, 2).flatten(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Lift the images ``x``."""
        y = F.conv2d(x, self.expand(), stride=self.stride, padding=self.padding)
        return y.unflatten(1, (-1, self.group.order))


class GroupConv(nn.Module):
    """Convolve a field over pixels and group: ``[N, C, |G|, H, W] -> [N, C', |G|, H, W]``.

    ``(x * w)(g) = sum_h sum_y x(y, h) (g . w)(y, h)`` where ``(g . w)(., h) = g . w(., g^-1 h)``:
    Cohen and Welling 2016, equation 11.
    """

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
        shape = (out_channels, in_channels, group.order, basis.dimension)
        self.weight = nn.Parameter(torch.empty(shape))
        _initialise(self.weight)
        self._quotients = torch.tensor(left_quotients(group))
        self._elements = torch.arange(group.order)[:, None]

    def expand(self) -> Tensor:
        """Return the filter bank of the plain convolution: ``[C' |G|, C |G|, k, k]``."""
        turned = turn(self.weight, self.basis, self.group)  # [C', C, h, g, k, k]
        bank = turned[:, :, self._quotients, self._elements]  # [C', C, g, h, k, k]
        return bank.transpose(1, 2).flatten(2, 3).flatten(0, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Convolve the field ``x``."""
        y = F.conv2d(x.flatten(1, 2), self.expand(), stride=self.stride, padding=self.padding)
        return y.unflatten(1, (-1, self.group.order))


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


class InvariantPool(nn.Module):
    """Maximum over group and pixels, the same on an orbit: ``[N, C, |G|, H, W] -> [N, C]``."""

    def forward(self, x: Tensor) -> Tensor:
        """Pool the field ``x``."""
        return x.amax((2, 3, 4))


def _initialise(weight: Tensor) -> None:
    """He initialisation: deviation ``sqrt(2 / fan_in)``, where all axes but the first feed in."""
    nn.init.normal_(weight, std=math.sqrt(2 / weight[0].numel()))
