"""First and second moments of aligned feature maps: all that the measures need of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Moments:
    """Means and covariances of predictors ``x`` ``[X]`` and of targets ``y`` ``[Y]``.

    Of targets no covariance with each other is kept, but their variances.
    """

    count: int
    x_mean: Array
    y_mean: Array
    xx: Array
    xy: Array
    y_variance: Array

    def __add__(self, other: "Moments") -> "Moments":
        """Return the moments of both sets of samples together."""
        n = self.count + other.count
        a, b = self.count / n, other.count / n
        dx, dy = self.x_mean - other.x_mean, self.y_mean - other.y_mean
        return Moments(
            n,
            a * self.x_mean + b * other.x_mean,
            a * self.y_mean + b * other.y_mean,
            a * self.xx + b * other.xx + a * b * np.outer(dx, dx),
            a * self.xy + b * other.xy + a * b * np.outer(dx, dy),
            a * self.y_variance + b * other.y_variance + a * b * dy**2,
        )

    def select(self, x: Sequence[int] | slice, y: Sequence[int] | slice) -> "Moments":
        """Return the moments of some predictors and some targets."""
        return Moments(
            self.count,
            self.x_mean[x],
            self.y_mean[y],
            self.xx[x][:, x],
            self.xy[x][:, y],
            self.y_variance[y],
        )

    @property
    def correlation(self) -> Array:
        """Pearson's correlation of each predictor with each target; zero with a constant."""
        deviations = np.sqrt(np.outer(np.diag(self.xx), self.y_variance))
        return np.divide(self.xy, deviations, out=np.zeros_like(self.xy), where=deviations > _LEAST)


# A channel whose variance is below this is constant on the data: its ReLU never lets anything by.
_LEAST = 1e-12


def moments(x: Tensor, y: Tensor) -> Moments:
    """Return the moments of samples, a row each: float32 ``[N, X]`` and ``[N, Y]``."""
    x_mean, y_mean = x.mean(0), y.mean(0)
    x, y = x - x_mean, y - y_mean
    n = len(x)
    return Moments(
        n,
        _double(x_mean),
        _double(y_mean),
        _double(x.T @ x / n),
        _double(x.T @ y / n),
        _double(y.square().mean(0)),
    )


def live(variances: Array) -> NDArray[np.bool_]:
    """Return which channels vary at all."""
    return variances > _LEAST


def _double(x: Tensor) -> Array:
    return x.to(torch.float64).numpy()
