"""How a filter turns: from the coefficients of one base filter to the filters of a whole group."""

from typing import Protocol

import torch
from torch import Tensor

from imaging import GridSymmetry
from models.groups import Group


class FilterBasis(Protocol):
    """A family of k x k filters with coefficients, that can be sampled at several rotations."""

    @property
    def kernel_size(self) -> int:
        """The side of a filter, in pixels."""
        ...

    @property
    def dimension(self) -> int:
        """The number of coefficients of one filter."""
        ...

    def sample(self, coefficients: Tensor, group: Group) -> Tensor:
        """Turn filters by every rotation of ``group`` in the first quadrant.

        ``coefficients`` is float ``[..., dimension]``; the result ``[..., sectors, k, k]``.
        """
        ...


class GridBasis:
    """One coefficient a pixel: any filter, turned by quarter turns only.

    Raises
    ------
    ValueError
        If filters are to be turned by a group with rotations between the quarter turns.
    """

    def __init__(self, kernel_size: int) -> None:
        self.kernel_size = kernel_size
        self.dimension = kernel_size**2

    def sample(self, coefficients: Tensor, group: Group) -> Tensor:
        """Lay the coefficients out as filters ``[..., 1, k, k]``."""
        if group.sectors != 1:
            raise ValueError(
                f"The filters of a grid basis turn by quarter turns only, but {group.name} has "
                f"{group.sectors} rotations in a quadrant: it needs a steerable basis."
            )
        return coefficients.unflatten(-1, (1, self.kernel_size, self.kernel_size))


def act_on_grid(symmetry: GridSymmetry, x: Tensor) -> Tensor:
    """Mirror and turn the last two axes of ``x``: the tensor twin of ``GridSymmetry``'s action."""
    if symmetry.mirrored:
        x = x.flip(-1)
    return torch.rot90(x, symmetry.quarter_turns, (-2, -1))


def turn(coefficients: Tensor, basis: FilterBasis, group: Group) -> Tensor:
    """Return the base filters turned by every element: float ``[..., |G|, k, k]``.

    Only rotations of the first quadrant are sampled. The others move those samples on the grid, so
    that the filters of elements which differ by a grid symmetry hold the same bits.
    """
    sampled = basis.sample(coefficients, group)
    factors = map(group.factorise, group.elements)
    return torch.stack(
        [act_on_grid(factor.grid, sampled[..., factor.sector, :, :]) for factor in factors], dim=-3
    )
