"""What is drawn at random: distinct images up to the group, or the parts that images were taken of.

An image that comes twice, or once more rotated, says nothing new; neither do several photographs of
one part, one module or one patient say as much as so many of different ones. A unit keeps what all
of its images keep, and intervals are of units.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from imaging import FitPolicy, GridSymmetry, fit

_NEAR: Final = 2.0
"""Grey levels by which, on the average, near-duplicates differ at most."""

_SIDE: Final = 8
_LOOKED_AT: Final = 9

Scalar = TypeVar("Scalar", bound=np.generic)


@dataclass(frozen=True, eq=False)
class Units:
    """Which unit each of N images belongs to.

    Attributes
    ----------
    of : int64 [N]
        The unit's number, from 0 and in the order of their first images.
    """

    of: NDArray[np.int64]

    @property
    def count(self) -> int:
        """How many units there are."""
        return int(self.of.max()) + 1

    def all(self, kept: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Whether all images of a unit keep something: from bool [..., N] to bool [..., U]."""
        lost = np.zeros((self.count, *kept.shape[:-1]), np.bool_)
        np.logical_or.at(lost, self.of, np.moveaxis(~kept, -1, 0))
        return np.moveaxis(~lost, 0, -1)

    def mean(self, values: NDArray[np.float64]) -> NDArray[np.float64]:
        """The mean over the images of a unit: from float64 [..., N] to float64 [..., U]."""
        total = np.zeros((self.count, *values.shape[:-1]))
        np.add.at(total, self.of, np.moveaxis(values, -1, 0))
        return np.moveaxis(total, 0, -1) / np.bincount(self.of)

    def split(self, classes: NDArray[np.int64]) -> "Units":
        """What is left of each unit in each class of int64 [N]: a class is judged by its images."""
        both = self.of * (int(classes.max()) + 1) + classes
        _, firsts, of = np.unique(both, return_index=True, return_inverse=True)
        return Units(np.argsort(np.argsort(firsts))[of])

    def among(self, places: NDArray[np.int64]) -> "Units":
        """The units of some images alone, int64 [M], in their order."""
        _, firsts, of = np.unique(self.of[places], return_index=True, return_inverse=True)
        return Units(np.argsort(np.argsort(firsts))[of])

    @property
    def weights(self) -> NDArray[np.float64]:
        """What each image counts for, float64 [N], so that each unit counts for one."""
        weights: NDArray[np.float64] = (1 / np.bincount(self.of))[self.of]
        return weights

    def first(self, values: NDArray[Scalar]) -> NDArray[Scalar]:
        """What holds of the first image of each unit: from [N] to [U]."""
        return values[np.unique(self.of, return_index=True)[1]]


def single_units(count: int) -> Units:
    """Every image is a unit."""
    return Units(np.arange(count))


def find_units(
    images: NDArray[np.uint8],
    elements: Sequence[GridSymmetry],
    groups: NDArray[np.int64] | None = None,
) -> Units:
    """Put images uint8 [N, C, H, W] together that are equal up to an element, or of one group.

    Parameters
    ----------
    groups : int64 [N], or None
        Names what an image was taken of: equal numbers, one part.
    """
    from scipy.sparse import coo_array  # half a second of a service's start, for later
    from scipy.sparse.csgraph import connected_components

    count = len(images)
    names: dict[bytes, int] = {}
    orbit = [names.setdefault(_orbit_name(image, elements), len(names)) for image in images]
    nodes = [np.asarray(orbit) + count]
    if groups is not None:
        nodes.append(np.unique(groups, return_inverse=True)[1].reshape(-1) + count + len(names))
    size = int(nodes[-1].max()) + 1
    here = np.tile(np.arange(count), len(nodes))
    links = coo_array((np.ones(len(here), np.bool_), (here, np.concatenate(nodes))), (size, size))
    found = connected_components(links, directed=False)[1][:count]
    seen: dict[int, int] = {}
    return Units(np.array([seen.setdefault(int(each), len(seen)) for each in found], np.int64))


def near_duplicates(
    images: NDArray[np.uint8], elements: Sequence[GridSymmetry], units: Units
) -> int:
    """Count images uint8 [N, C, n, n] that nearly are one of another unit, rotated or not.

    Nearly: by at most 2 of 255 grey levels on the average. Looked for among the eight images that
    are most alike at 8 x 8 pixels. They are not put together: whether they are photographs of one
    part, only a person can say.
    """
    from scipy.spatial import KDTree

    small = np.stack([fit(image, FitPolicy(_SIDE, "crop")) for image in images]).astype(np.float64)
    flat = small.reshape(len(images), -1)
    tree, reach = KDTree(flat), _NEAR * np.sqrt(flat.shape[1])
    near = np.zeros(len(images), np.bool_)
    for element in elements:
        rotated = element(small).reshape(len(images), -1)
        _, found = tree.query(rotated, k=_LOOKED_AT, distance_upper_bound=reach)
        for n, others in enumerate(np.asarray(found)):
            others = others[others < len(images)]
            others = others[units.of[others] != units.of[n]]
            if others.size and not near[n]:
                whole = element(images[n : n + 1])[0].astype(np.int16)
                near[n] = any(np.abs(images[o] - whole).mean() <= _NEAR for o in others)
    return int(near.sum())


def _orbit_name(image: NDArray[np.uint8], elements: Sequence[GridSymmetry]) -> bytes:
    """Return what an image has in common with its rotated ones, and with no others."""
    return min(
        hashlib.sha256(np.ascontiguousarray(element(image[None])).tobytes()).digest()
        for element in elements
    )
