"""What is asked of a layer's features; chosen before any trained network was measured.

Throughout, ``f_i`` is channel ``i`` of a layer, ``r`` a rotation, and a sample one pixel of one
image, on the disc. ``r^-1 f_i(r x)`` is the map of the rotated image, rotated back.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from benchmarks.features.moments import Array, Moments, live

RIDGE = 1e-3
"""The penalty, a sample, on coefficients of features of unit variance."""

COPY = 0.9
"""The correlation from which on a channel is called another's copy, as a filter's similarity is in
`benchmarks.study.measures`."""


def explained(fitted: Moments, held_out: Moments) -> float:
    """Return R² of the targets as linear functions of the predictors, on held-out samples.

    The linear map is one of channels, the same at all pixels, with an intercept: with it and with
    the rotation of the pixels, the representation is equivariant if R² is one: Lenc and Vedaldi,
    "Understanding image representations by measuring their equivariance and equivalence", CVPR
    2015, whose ``M_g`` moves pixels and convolves as well; this is theirs with a 1 x 1 convolution.
    It is fitted by ridge regression, ``B = (S_xx + RIDGE I)^-1 S_xy`` on standardised features
    (Hastie, Tibshirani and Friedman, "The Elements of Statistical Learning", 2nd edition, equation
    3.44). ``R² = 1 - sum_j E(y_j - ŷ_j)² / sum_j E(y_j - ȳ_j)²`` over standardised targets ``j``,
    with their means ``ȳ`` on the fitted samples; targets that do not vary count for nothing.
    """
    xs = live(np.diag(fitted.xx))
    ys = live((fitted.y_variance + held_out.y_variance) / 2)
    fitted, held_out = (
        part.select(np.flatnonzero(xs).tolist(), np.flatnonzero(ys).tolist())
        for part in (fitted, held_out)
    )
    scale = np.sqrt(np.diag(fitted.xx))
    standard = fitted.xx / np.outer(scale, scale) + RIDGE * np.eye(len(scale))
    slopes = np.linalg.solve(standard, fitted.xy / scale[:, None]) / scale[:, None]
    offset = held_out.y_mean - fitted.y_mean - (held_out.x_mean - fitted.x_mean) @ slopes
    variance = (
        held_out.y_variance
        - 2 * (slopes * held_out.xy).sum(0)
        + (slopes * (held_out.xx @ slopes)).sum(0)
    )
    total = held_out.y_variance + (held_out.y_mean - fitted.y_mean) ** 2
    weights = 2 / (fitted.y_variance + held_out.y_variance)
    return float(1 - weights @ (variance + offset**2) / (weights @ total))


def best_matches(similarity: Array, networks: NDArray[np.int64]) -> Array:
    """Return each unit's largest similarity with another unit of its network.

    Parameters
    ----------
    similarity : [U, U]
        How similar the units are, of all networks together.
    networks : [U]
        The network that each belongs to.
    """
    others = (networks[:, None] == networks[None]) & ~np.eye(len(networks), dtype=bool)
    best: Array = np.where(others, similarity, -np.inf).max(1)
    return best


def independent_matches(similarity: Array, networks: NDArray[np.int64]) -> tuple[float, float]:
    """Return what independent units would show: best matches among units of other networks.

    Those were trained from other seeds. A unit has ``m`` others in its own network; here it has as
    many, drawn from the ``n`` of all other networks. The ``k``-th most similar of these is the best
    drawn with probability ``m / (n - k) prod_(i < k) (1 - m / (n - i))``, counted from zero, so
    that expectations are exact and nothing need be drawn.

    Returns
    -------
    The expected mean best match, and the expected part of units with one above `COPY`.
    """
    others = networks[:, None] != networks[None]
    m, n = int((networks == networks[0]).sum()) - 1, int(others[0].sum())
    k = np.arange(n)
    missed = np.concatenate([[1.0], np.cumprod(np.clip(1 - m / (n - k), 0, 1))[:-1]])
    chances = missed * np.minimum(m / (n - k), 1)
    ranked = -np.sort(-similarity[others].reshape(len(networks), n), 1)
    return float((ranked @ chances).mean()), float(((ranked > COPY) @ chances).mean())


def regrouped_means(
    similarity: Array, networks: NDArray[np.int64], rounds: int, seed: int = 0
) -> Array:
    """Return the mean best match ``[rounds]`` in networks whose units were shuffled among them.

    If the units of one network are as independent of one another as of another network's, then it
    makes no difference which belong together: a permutation test (Good, "Permutation, Parametric
    and Bootstrap Tests of Hypotheses", 2005).
    """
    random = np.random.default_rng(seed)
    shuffled = (random.permutation(networks) for _ in range(rounds))
    return np.array([best_matches(similarity, labels).mean() for labels in shuffled])


def unit_similarity(correlations: Sequence[Array], size: int) -> Array:
    """Return how similar two units are: the largest correlation of any of their channels.

    A unit is an orbit of ``size`` channels, which share their parameters, and a plain channel
    alone. ``correlations`` has a matrix ``[C, C]`` for each rotation that two may differ by.
    """
    best = np.max(correlations, axis=0)
    units = len(best) // size
    similarity: Array = best.reshape(units, size, units, size).max((1, 3))
    return similarity


def self_similarity(correlations: Sequence[Array]) -> float:
    """Return the mean correlation of channels with themselves, rotated: one if none is oriented."""
    return float(np.mean([np.diag(matrix) for matrix in correlations]))


def effective_rank(covariance: Array) -> float:
    """Return how many directions the standardised channels spread over, by entropy.

    ``exp(-sum_k p_k log p_k)`` with ``p_k = l_k / sum l``, the eigenvalues ``l`` of the correlation
    matrix: Roy and Vetterli, "The effective rank: a measure of effective dimensionality", EUSIPCO
    2007, definition 1, of that matrix. At least one, at most the number of channels.
    """
    p = _spectrum(covariance)
    return float(np.exp(-(p * np.log(p)).sum()))


def participation_ratio(covariance: Array) -> float:
    """Return how many directions the standardised channels spread over: ``(sum l)² / sum l²``.

    With the eigenvalues ``l`` of the correlation matrix: Gao et al., "A theory of multineuronal
    dimensionality, dynamics and measurement", 2017.
    """
    return float(1 / (_spectrum(covariance) ** 2).sum())


def _spectrum(covariance: Array) -> Array:
    """Return the part of the variance along each principal direction, of those that have some."""
    varying = live(np.diag(covariance))
    kept = covariance[varying][:, varying]
    scale = np.sqrt(np.diag(kept))
    values = np.linalg.eigvalsh(kept / np.outer(scale, scale))
    p: Array = values / values.sum()
    return p[p > 1e-12]
