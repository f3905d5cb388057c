"""Which images show the same part: by their names, and wherever they are the same image."""

import re
from collections.abc import Hashable, Sequence
from pathlib import PurePath

import numpy as np
from numpy.typing import NDArray

from imaging.refusal import RefusedError

LEAST_PARTS = 5
"""Parts that a class needs, so that training, early stopping and test all have some of it."""


def parts_by_name(names: Sequence[PurePath], rule: str) -> list[str]:
    """Return which part each file shows, by what its name says.

    Parameters
    ----------
    names
        The files, as seen from the folder of their class.
    rule
        "folder" is the folder in which a file lies, below that of its class. What is in a name and
        has no letter or digit, as ``_``, ``--`` or ``/``, is a separator: the name up to its first
        occurrence is that of the part. Else it is a regular expression that is searched in the
        name; the part is what its groups match, or the whole expression if it has none.

    Raises
    ------
    RefusedError
        If the expression is none, or is in none of the names.
    """
    texts = [name.as_posix() for name in names]
    if rule == "folder":
        return [text.rpartition("/")[0] or text for text in texts]
    if rule and not re.search(r"[^\W_]", rule) and any(rule in text for text in texts):
        # A suffix is no part of a name: a.png and a.jpg show the same.
        stems = [name.with_suffix("").as_posix() for name in names]
        return [stem.partition(rule)[0] or stem for stem in stems]
    try:
        found = [re.search(rule, text) for text in texts]
    except re.error as error:
        raise RefusedError(f"--group-by {rule!r} is no regular expression: {error}.") from None
    unmatched = [text for text, match in zip(texts, found, strict=True) if match is None]
    if unmatched:
        raise RefusedError(
            f"--group-by {rule!r} matches nothing in {len(unmatched)} of {len(texts)} names of "
            f"files, as {unmatched[0]!r}; a separator that ends the name of the part, a regular "
            "expression that finds it, or 'folder' is accepted."
        )
    return ["\0".join(match.groups("") or [match[0]]) for match in found if match]


def same_parts(*keys: Sequence[Hashable]) -> NDArray[np.int64]:
    """Number the parts of images that are the same wherever any of their keys is.

    Parameters
    ----------
    keys
        For each way of telling parts apart a key an image, N of them.

    Returns
    -------
    int64 [N]
        The part of each image, 0, 1, 2, ... in the order in which they are first seen.
    """
    count = len(keys[0])
    parent = list(range(count))

    def root(image: int) -> int:
        while parent[image] != image:
            parent[image] = parent[parent[image]]
            image = parent[image]
        return image

    for several in keys:
        first: dict[Hashable, int] = {}
        for image, key in enumerate(several):
            a, b = sorted((root(first.setdefault(key, image)), root(image)))
            parent[b] = a
    numbers: dict[int, int] = {}
    return np.array([numbers.setdefault(root(i), len(numbers)) for i in range(count)], np.int64)


def part_strata(parts: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Number the sets of classes that parts show, and return that of each part: int64 ``[P]``."""
    return np.unique(_shown(parts, labels), axis=0, return_inverse=True)[1].reshape(-1)


def check_parts(
    parts: NDArray[np.int64], labels: NDArray[np.int64], classes: Sequence[str], what: str
) -> None:
    """Refuse parts of which a class has too few to be on every side of a split.

    Parameters
    ----------
    what
        They are called in the refusal.

    Raises
    ------
    RefusedError
        Naming the classes.
    """
    counts = _shown(parts, labels).sum(0)
    small = [
        f"{name!r} has {count}"
        for name, count in zip(classes, counts, strict=True)
        if count < LEAST_PARTS
    ]
    if small:
        raise RefusedError(
            f"Classes show too few {what}: {', '.join(small)}; {LEAST_PARTS} or more in each class "
            "are accepted."
        )


def nearest_boundary(parts: NDArray[np.int64], rows: int) -> int:
    """Return how many rows from the end are nearest to ``rows`` and split no part.

    Parameters
    ----------
    parts : int64 [N]
        Of each image; images of one part are neighbours.
    """
    changes = np.nonzero(np.diff(parts))[0] + 1
    if not rows or not len(changes):
        return rows
    remaining = len(parts) - changes
    return int(remaining[np.abs(remaining - rows).argmin()])


def _shown(parts: NDArray[np.int64], labels: NDArray[np.int64]) -> NDArray[np.bool_]:
    """Return whether each part shows each class: bool ``[P, K]``."""
    shown = np.zeros((int(parts.max()) + 1, int(labels.max()) + 1), np.bool_)
    shown[parts, labels] = True
    return shown
