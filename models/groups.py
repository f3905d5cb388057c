"""Cyclic and dihedral groups as values: elements, product, inverse.

An element ``r^k m^s`` mirrors ``s`` times (left and right change places), then rotates ``k`` times
by ``360 / n`` degrees counterclockwise. Elements are named by their index ``s * n + k``, so that
the first ``n`` indices are the rotations and index 0 is the identity.
"""

from dataclasses import dataclass
from functools import cache
from typing import Self

from imaging import GridSymmetry, RefusedError, read_group


@dataclass(frozen=True)
class Factorisation:
    """An element written as ``grid @ r^sector``, with ``0 <= sector < n / 4``.

    ``grid`` acts on a pixel grid without interpolation, and the rotation that remains lies in the
    first quadrant. Only that remainder ever has to be sampled.
    """

    grid: GridSymmetry
    sector: int


@dataclass(frozen=True)
class Group:
    """The rotations by multiples of ``360 / rotations`` degrees, with or without mirroring.

    Raises
    ------
    ValueError
        If the quarter turn is not in the group, unless the group is the trivial one: the filters
        of the layers here are expanded by quarter turns.
    """

    rotations: int
    mirrored: bool = False

    def __post_init__(self) -> None:
        if self.is_trivial:
            return
        if self.rotations < 4 or self.rotations % 4:
            raise RefusedError(
                f"A group needs 4, 8, 12, ... rotations, or is trivial, but {self.rotations} "
                f"{'with' if self.mirrored else 'without'} mirroring was asked for."
            )

    @classmethod
    def named(cls, name: str) -> Self:
        """Return the group called ``name``: "trivial", "C4", "D4", "C8", ..."""
        return cls(*read_group(name))

    @property
    def name(self) -> str:
        """The name that ``named`` reads."""
        return "trivial" if self.is_trivial else f"{'D' if self.mirrored else 'C'}{self.rotations}"

    @property
    def is_trivial(self) -> bool:
        """Whether the identity is the only element."""
        return self.rotations == 1 and not self.mirrored

    @property
    def order(self) -> int:
        """The number of elements."""
        return self.rotations * (2 if self.mirrored else 1)

    @property
    def sectors(self) -> int:
        """The number of rotations in the first quadrant, ``[0, 90)`` degrees."""
        return max(self.rotations // 4, 1)

    @property
    def elements(self) -> range:
        """The indices of all elements, identity first."""
        return range(self.order)

    def product(self, g: int, h: int) -> int:
        """Return the index of ``g h``: ``h`` acts first.

        ``r^a m^s r^b m^t = r^(a + (-1)^s b) m^(s + t)``, since ``m r m = r^-1``.
        """
        s, a = self._split(g)
        t, b = self._split(h)
        return self._index(s ^ t, a - b if s else a + b)

    def inverse(self, g: int) -> int:
        """Return the index of ``g^-1``; a mirroring is its own inverse."""
        s, a = self._split(g)
        return self._index(s, a if s else -a)

    def factorise(self, g: int) -> Factorisation:
        """Write ``g`` as a grid symmetry after a rotation of the first quadrant.

        For a mirrored element, ``r^k m = m r^-k``: the mirroring moves to the front and the
        quarter turns among ``r^-k`` follow it.
        """
        s, k = self._split(g)
        if self.is_trivial:
            return Factorisation(GridSymmetry(False, 0), 0)
        if s:
            quarters, sector = divmod(-k % self.rotations, self.sectors)
            return Factorisation(GridSymmetry(True, 0) @ GridSymmetry(False, quarters), sector)
        quarters, sector = divmod(k, self.sectors)
        return Factorisation(GridSymmetry(False, quarters), sector)

    def grid_elements(self) -> dict[int, GridSymmetry]:
        """Return the elements that act on a pixel grid without interpolation, with their action."""
        factors = {g: self.factorise(g) for g in self.elements}
        return {g: factor.grid for g, factor in factors.items() if factor.sector == 0}

    def right_cosets(self, subgroup: "Group") -> list[list[int]]:
        """Return the elements ``h t`` a coset each, ``h`` running through ``subgroup`` in order.

        Raises
        ------
        ValueError
            If ``subgroup`` is not a subgroup.
        """
        if self.rotations % subgroup.rotations or subgroup.mirrored > self.mirrored:
            raise ValueError(f"{subgroup.name} is not a subgroup of {self.name}.")
        step = self.rotations // subgroup.rotations
        members = [self._index(s, k * step) for s, k in map(subgroup._split, subgroup.elements)]
        left, cosets = set(self.elements), []
        while left:
            cosets.append([self.product(h, min(left)) for h in members])
            left -= set(cosets[-1])
        return cosets

    def _split(self, g: int) -> tuple[int, int]:
        if g not in self.elements:
            raise ValueError(f"{self.name} has elements 0 to {self.order - 1}, not {g}.")
        return divmod(g, self.rotations)

    def _index(self, s: int, k: int) -> int:
        return s * self.rotations + k % self.rotations


@cache
def left_quotients(group: Group) -> tuple[tuple[int, ...], ...]:
    """Return the table ``[g][h] -> g^-1 h``.

    Its row ``g`` is the left regular representation of ``g`` as a gather: the function
    ``g . f`` has the value ``f(g^-1 h)`` at ``h``.
    """
    return tuple(
        tuple(group.product(group.inverse(g), h) for h in group.elements) for g in group.elements
    )
