"""How a filter rotates: from one base filter's coefficients to the filters of a whole group."""

from functools import cache, reduce
from typing import Any, NamedTuple, Protocol

import torch
from torch import Tensor

from imaging import GridSymmetry
from models.groups import Group, left_quotients


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
        """Rotate filters by every rotation of ``group`` in the first quadrant.

        ``coefficients`` is float ``[..., dimension]``; the result ``[..., sectors, k, k]``.
        """
        ...


class GridBasis:
    """One coefficient a pixel: any filter, rotated by quarter turns only.

    Raises
    ------
    ValueError
        If filters are to be rotated by a group with rotations between the quarter turns.
    """

    def __init__(self, kernel_size: int) -> None:
        self.kernel_size = kernel_size
        self.dimension = kernel_size**2

    def sample(self, coefficients: Tensor, group: Group) -> Tensor:
        """Lay the coefficients out as filters ``[..., 1, k, k]``."""
        if group.sectors != 1:
            raise ValueError(
                f"The filters of a grid basis rotate by quarter turns only, but {group.name} has "
                f"{group.sectors} rotations in a quadrant: it needs a steerable basis."
            )
        return coefficients.unflatten(-1, (1, self.kernel_size, self.kernel_size))


def act_on_grid(symmetry: GridSymmetry, x: Tensor) -> Tensor:
    """Mirror and rotate the last two axes of ``x``, as ``GridSymmetry`` does to arrays."""
    if symmetry.mirrored:
        x = x.flip(-1)
    return torch.rot90(x, symmetry.quarter_turns, (-2, -1))


def rotate(coefficients: Tensor, basis: FilterBasis, group: Group) -> Tensor:
    """Return base filters rotated by every element: ``[..., dimension] -> [..., |G|, k, k]``.

    Only rotations of the first quadrant are sampled. The others move those samples on the grid, so
    that the filters of elements which differ by a grid symmetry hold the same bits.
    """
    sampled = basis.sample(coefficients, group).flatten(-3)
    gather = _gather(group, basis.kernel_size, 1, sampled.device)
    rotated = _copy(sampled, gather)
    return rotated.unflatten(-1, (group.order, basis.kernel_size, basis.kernel_size))


def rotate_field(coefficients: Tensor, basis: FilterBasis, group: Group) -> Tensor:
    """Return filters over pixels and group, rotated: ``[..., |G|, dim] -> [..., g, h, k, k]``.

    ``(g . w)(., h) = g . w(., g^-1 h)``: an element rotates a filter and permutes its group axis.
    """
    sampled = basis.sample(coefficients, group).flatten(-4)
    gather = _gather(group, basis.kernel_size, group.order, sampled.device)
    rotated = _copy(sampled, gather)
    side = basis.kernel_size
    return rotated.unflatten(-1, (group.order, group.order, side, side))


def shift_over_group(coefficients: Tensor, group: Group) -> Tensor:
    """Return filters over the group alone, moved by every element: ``[..., |G|] -> [..., g, h]``.

    ``(g . w)(h) = w(g^-1 h)``.
    """
    moved = _copy(coefficients, _shifts(group, coefficients.device))
    return moved.unflatten(-1, (group.order, group.order))


class _Gather(NamedTuple):
    """Where each of many copies comes from, and the copies of each source, the last ones first."""

    sources: Tensor
    copies: Tensor


class _Copies(torch.autograd.Function):
    """Copy entries of the last axis; every source has equally many copies.

    One gather instead of a kernel an element, which is most of a step's time on a GPU. Gradients
    are added one copy after the other, in an order of their own, so that they are reproducible.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, gather: _Gather) -> Tensor:
        ctx.gather = gather
        return x.index_select(-1, gather.sources)

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        parts = [gradients[0].index_select(-1, rows) for rows in ctx.gather.copies]
        return reduce(torch.add, parts), None


def _copy(x: Tensor, gather: _Gather) -> Tensor:
    copied: Tensor = _Copies.apply(x, gather)  # type: ignore[no-untyped-call]
    return copied


@cache
def _gather(group: Group, side: int, fields: int, device: torch.device) -> _Gather:
    """Lay ``[fields, sectors, k, k]`` samples out as ``[|G|, fields, k, k]`` rotated filters."""
    with torch.inference_mode(False):  # what is cached has to do for training as well
        samples = torch.arange(fields * group.sectors * side**2)
        samples = samples.unflatten(0, (fields, group.sectors, side, side))
        factors = map(group.factorise, group.elements)
        rotated = [act_on_grid(factor.grid, samples[:, factor.sector]) for factor in factors]
        if fields > 1:
            rows = zip(rotated, left_quotients(group), strict=True)
            rotated = [one[list(quotients)] for one, quotients in rows]
        return _gather_from(torch.stack(rotated).flatten(), samples.numel(), device)


@cache
def _shifts(group: Group, device: torch.device) -> _Gather:
    with torch.inference_mode(False):  # what is cached has to do for training as well
        sources = torch.tensor(left_quotients(group)).flatten()
        return _gather_from(sources, group.order, device)


def _gather_from(sources: Tensor, count: int, device: torch.device) -> _Gather:
    copies = sources.argsort(stable=True).unflatten(0, (count, -1)).T.flip(0)
    return _Gather(sources.to(device), copies.contiguous().to(device))
