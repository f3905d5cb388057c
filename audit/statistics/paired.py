"""What rotating does to images beyond what happens to them anyway: tests of pairs."""

from typing import Final

import numpy as np
from numpy.typing import NDArray

from audit.statistics import special

SHUFFLES: Final = 1999


def sign_test(first: int, second: int) -> float:
    """How likely `first` or more would be of the first kind if both kinds were as likely.

    Of pairs in which one of two things happened to an image, not both or neither: McNemar's exact
    test, one-sided.

    References
    ----------
    Q. McNemar, Psychometrika 12 (1947) 153.
    """
    return float(special.bdtrc(first - 1, first + second, 0.5)) if first else 1.0


def ranks(moved: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of each image the ranks of C calls by how far it moved, [C, N], with ties in the middle."""
    less = sum((moved > other).astype(np.float64) for other in moved)
    return np.asarray(less + sum(0.5 * (moved == other) for other in moved))


def shuffle_test(
    rotated: NDArray[np.float64],
    again: NDArray[np.float64],
    batches: NDArray[np.int64],
    *,
    seed: int = 0,
) -> float:
    """How likely rotated images would move so much farther if rotating did nothing.

    What happens to the images of one call may hang together, as where another machine answers each
    call. So calls are exchanged, not images: under the hypothesis every call about a batch could as
    well have been any other, and the sum over the calls about rotated images is compared with that
    after 1999 random exchanges within each batch. Two calls of two kinds about one batch can thus
    never show more than a chance of one half.

    Parameters
    ----------
    rotated : float64 [T, N]
        How far N images moved in each of T calls about rotated ones.
    again : float64 [R, N]
        The same of R calls about the images as they are.
    batches : int64 [N]
        Images with equal numbers were asked about in one call.

    References
    ----------
    R. A. Fisher, The Design of Experiments (1935), section 21; B. Phipson and G. K. Smyth,
    Statistical Applications in Genetics and Molecular Biology 9 (2010) 39, for the random ones.
    """
    random = np.random.default_rng(seed)
    moved = np.concatenate([rotated, again])
    found, shuffled = 0.0, np.zeros(SHUFFLES)
    for batch in np.unique(batches):
        calls = moved[:, batches == batch].sum(axis=1)
        found += float(calls[: len(rotated)].sum())
        order = random.permuted(np.tile(calls, (SHUFFLES, 1)), axis=1)
        shuffled += order[:, : len(rotated)].sum(axis=1)
    return float((1 + (shuffled >= found).sum()) / (1 + SHUFFLES))
