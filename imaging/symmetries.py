"""The symmetries of a pixel grid, as exact operations on arrays."""

import math
import re
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from imaging.refusal import RefusedError

_Scalar = TypeVar("_Scalar", bound=np.generic)

_GROUP_NAME = re.compile(r"(?P<family>[CD])(?P<order>[1-9][0-9]{0,3})")


@dataclass(frozen=True, order=True)
class GridSymmetry:
    """An element `r^k f^m` of D4: mirror left to right `m` times, then rotate by `k` quarters.

    `rot90` is counterclockwise. `g @ h` is the product, `(g @ h)(x) == g(h(x))`.
    """

    mirrored: bool
    quarter_turns: int

    def __post_init__(self) -> None:
        if self.quarter_turns not in range(4):
            raise ValueError(f"quarter_turns is {self.quarter_turns}; 0, 1, 2 and 3 are accepted.")

    def __call__(self, array: NDArray[_Scalar]) -> NDArray[_Scalar]:
        """Act on the last two axes, `x -> rot90^k(flip_lr^m(x))`; the answer is a view."""
        upright = np.flip(array, axis=-1) if self.mirrored else array
        return np.rot90(upright, self.quarter_turns, axes=(-2, -1))

    def __matmul__(self, other: "GridSymmetry") -> "GridSymmetry":
        # f r = r^-1 f: a mirror turns the rotation that stands to its right around.
        quarters = -other.quarter_turns if self.mirrored else other.quarter_turns
        return GridSymmetry(self.mirrored ^ other.mirrored, (self.quarter_turns + quarters) % 4)

    @property
    def swaps_sides(self) -> bool:
        """Whether height and width change places, so that only a square is mapped onto itself."""
        return self.quarter_turns % 2 == 1

    def inverse(self) -> "GridSymmetry":
        """The element `h` with `h @ self == self @ h == identity`."""
        quarters = self.quarter_turns if self.mirrored else -self.quarter_turns % 4
        return GridSymmetry(self.mirrored, quarters)

    @property
    def name(self) -> str:
        """The steps in the order in which they are taken: `identity`, `r90`, `m`, `m r90`, ..."""
        steps = ["m"] if self.mirrored else []
        if self.quarter_turns:
            steps.append(f"r{90 * self.quarter_turns}")
        return " ".join(steps) or "identity"


def read_group(name: str) -> tuple[int, bool]:
    """Read a group's name: how many rotations it has, and whether it has mirror images.

    `"trivial"` is `"C1"`; `"C<n>"` has the rotations by multiples of 360/n degrees, and `"D<n>"`
    the mirror images too.

    Raises
    ------
    RefusedError
        If the name is none of these.
    """
    match = _GROUP_NAME.fullmatch("C1" if name == "trivial" else name)
    if match is None:
        raise RefusedError(
            f"There is no group {name!r}; 'trivial', 'C<n>' and 'D<n>' (as 'C4', 'D4') are "
            "accepted."
        )
    return int(match["order"]), match["family"] == "D"


def grid_rotations(height: int, width: int) -> str:
    """The group of the rotations that map a pixel grid onto itself: C4, or C2 of an oblong one."""
    return "C4" if height == width else "C2"


def check_grid(group: str, height: int, width: int) -> None:
    """Refuse a group with quarter turns for a grid that they do not map onto itself.

    Raises
    ------
    RefusedError
        If height and width differ, and an element of the group swaps them.
    """
    if height != width and any(element.swaps_sides for element in grid_symmetries(group)):
        raise RefusedError(
            f"Images of {height} x {width} pixels have the half turn and the mirror images as "
            f"symmetries, and {group} has quarter turns; C2 and D2 are accepted."
        )


def grid_symmetries(group: str) -> tuple[GridSymmetry, ...]:
    """The elements of a group that map the square pixel grid onto itself, identity first.

    Parameters
    ----------
    group
        `"trivial"`; `"C<n>"`, the rotations by multiples of 360/n degrees, of which those by
        multiples of 360/gcd(n, 4) are exact; or `"D<n>"`, which adds the mirror images.

    Raises
    ------
    ValueError
        If the name is none of these.
    """
    rotations, mirrored = read_group(group)
    step = 4 // math.gcd(rotations, 4)
    mirrors = (False, True) if mirrored else (False,)
    return tuple(GridSymmetry(m, k) for m in mirrors for k in range(0, 4, step))
