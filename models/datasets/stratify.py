"""An order of images in which every stretch holds each class in its proportion."""

import numpy as np
from numpy.typing import NDArray


def stratified_order(strata: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Shuffle images so that any run of successive ones is a stratified sample.

    The members of a stratum, themselves shuffled, are spread evenly over the whole: member ``i`` of
    ``m`` stands at ``(i + 1/2) / m``, and all are read in the order of their places. Cutting the
    order anywhere therefore splits it with stratification: the first ``k`` of ``N`` images hold
    ``m k / N`` members of a stratum, give or take ``(1 + m S / N) / 2`` for ``S`` strata.

    Parameters
    ----------
    strata : int64 [N]
        The stratum of each image, 0, 1, 2, ...

    Returns
    -------
    int64 [N]
        The images' indices, reordered.
    """
    random = np.random.default_rng(seed)
    shuffled = random.permutation(len(strata))
    place = np.empty(len(strata))
    for stratum in np.unique(strata):
        (members,) = np.nonzero(strata[shuffled] == stratum)
        place[members] = (np.arange(len(members)) + 0.5) / len(members)
    return shuffled[np.argsort(place, kind="stable")].astype(np.int64)
