"""How a tensor rotates: as a symmetry of the plane and a permutation of its channels."""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from audit.proof.values.context import Context
from audit.proof.values.numbering import Numbers, number_rows
from imaging import GridSymmetry

_SYMMETRIES: Final = [GridSymmetry(m, k) for m in (False, True) for k in range(4)]


def read_channels(numbers: Numbers, generator: GridSymmetry) -> tuple[GridSymmetry, Numbers] | None:
    """Write the action on a tensor as a symmetry of the plane and a permutation of channels.

    Returns
    -------
    symmetry, ids
        ``ids`` int64 ``[2, C]`` numbers the planes: the rotated image's plane ``c``, rotated back,
        is the upright image's plane of the same number. None if there is no such symmetry.
    """
    here, rotated = numbers
    if not here.size or rotated.min() < here.min() or rotated.max() > here.max():
        return None
    square = here.shape[1] == here.shape[2]
    for symmetry in dict.fromkeys([generator, *_SYMMETRIES]):
        if symmetry.quarter_turns % 2 and not square:
            continue
        back = symmetry.inverse()(rotated)
        if not np.isin(back[:, 0, 0], here[:, 0, 0]).all():
            continue  # the quick way to see that no plane is another
        planes = np.concatenate([here, back]).reshape(2 * len(here), -1)
        ids = number_rows(planes).reshape(2, -1)
        if np.isin(ids[1], ids[0]).all():
            return symmetry, ids
    return None


def rotated_planes(
    context: Context, ids: Numbers, sides: Sequence[int], symmetry: GridSymmetry
) -> Numbers:
    """Number planes of which each is one function of the image, and the rotated image's of another.

    Parameters
    ----------
    ids : int64 [2, F]
        Names the functions, for the image and for the rotated image: small numbers.
    sides
        Of a plane.
    symmetry
        How the rotated image's planes are rotated.
    """
    pixels, count = math.prod(sides), int(ids.max(initial=0)) + 1
    context.reserve(ids.shape[1] * pixels)
    start = context.numbering.fresh(count * pixels)
    planes = start + ids[..., None] * pixels + np.arange(pixels)
    here, there = planes.reshape(2, ids.shape[1], *sides)
    return np.stack([here, symmetry(there) if len(sides) == 2 else there])
