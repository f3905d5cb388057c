"""The elements of a group that an audit tries: those that move the pixel grid onto itself."""

from collections.abc import Sequence

from imaging import GridSymmetry, grid_symmetries
from imaging.refusal import RefusedError


def audited_elements(group: str) -> tuple[GridSymmetry, ...]:
    """The grid symmetries of a group; ValueError if only the identity is one, or it is unknown."""
    elements = grid_symmetries(group)
    if len(elements) == 1:
        raise RefusedError(
            f"The group {group!r} rotates no image exactly, so that every model would pass; a "
            "group with grid symmetries, as 'C4' or 'D4', is accepted."
        )
    return elements


def covered(tried: Sequence[GridSymmetry], group: str) -> bool:
    """Whether a group has all of these elements."""
    try:
        return set(tried) <= set(grid_symmetries(group))
    except RefusedError:
        return False
