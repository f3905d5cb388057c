"""A steerable basis: circular harmonics times Gaussian rings, sampled at any angle.

Sources: Weiler, Hamprecht and Storath, "Learning Steerable Filters for Rotation Equivariant CNNs",
CVPR 2018; Weiler and Cesa, "General E(2)-Equivariant Steerable CNNs", NeurIPS 2019, whose rings and
frequency limits are used.
"""

import math
from functools import cache

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from imaging.refusal import RefusedError
from models.groups import Group

_SIGMA, _OUTER_SIGMA = 0.6, 0.4


class SteerableBasis:
    """Filters of ``kernel_size`` pixels that rotate by any angle without interpolation.

    A filter is a sum of ``exp(-(rho - r)^2 / (2 sigma^2)) cos(m (phi - theta))``, and the same with
    the sine, over rings of radius ``r`` and angular frequencies ``m``. Rotating it by ``theta``
    rotates each harmonic by ``m theta``: exact in the plane, and band-limited enough for the grid.

    Raises
    ------
    ValueError
        If ``kernel_size`` is even: its rings would have no centre.
    """

    def __init__(self, kernel_size: int) -> None:
        if kernel_size % 2 == 0:
            raise RefusedError(
                f"A steerable filter has a pixel in its centre: {kernel_size} is even, and "
                f"{kernel_size - 1} and {kernel_size + 1} work."
            )
        self.kernel_size = kernel_size
        self.dimension = len(_sampled(kernel_size, 0.0))

    def sample(self, coefficients: Tensor, group: Group) -> Tensor:
        """Rotate filters by the rotations of the first quadrant: ``[..., sectors, k, k]``."""
        table = _table(self.kernel_size, group, coefficients.dtype, coefficients.device)
        with torch.autocast(coefficients.device.type, enabled=False):
            flat = coefficients @ table.flatten(1)
        return flat.unflatten(-1, (group.sectors, self.kernel_size, self.kernel_size))


def frequencies(kernel_size: int) -> list[tuple[int, int]]:
    """Return the rings and angular frequencies of a basis as pairs ``(r, m)``.

    The centre has frequency 0 alone. A ring of radius ``r`` resolves ``2r - ((r + 1) mod 2)``, the
    outermost at most 2, since the square grid cuts it.
    """
    outermost = kernel_size // 2
    pairs = []
    for r in range(outermost + 1):
        highest = 2 * r - (r + 1) % 2 if r else 0
        if r == outermost:
            highest = min(highest, 2)
        pairs += [(r, m) for m in range(highest + 1)]
    return pairs


@cache
def _table(kernel_size: int, group: Group, dtype: torch.dtype, device: torch.device) -> Tensor:
    """Return the basis at every rotation of the first quadrant: ``[dimension, sectors, k, k]``."""
    angles = [2 * math.pi * sector / group.rotations for sector in range(group.sectors)]
    functions = np.stack([_sampled(kernel_size, angle) for angle in angles], axis=1)
    with torch.inference_mode(False):  # what is cached has to do for training as well
        return torch.as_tensor(functions, dtype=dtype, device=device)


@cache
def _sampled(kernel_size: int, angle: float) -> NDArray[np.float64]:
    """Return the basis rotated by ``angle``, each function of unit norm: ``[dimension, k, k]``."""
    half = kernel_size // 2
    rows, columns = np.mgrid[-half : half + 1, -half : half + 1].astype(np.float64)
    rho, phi = np.hypot(rows, columns), np.arctan2(-rows, columns)  # rows count downwards
    functions = []
    for r, m in frequencies(kernel_size):
        sigma = _OUTER_SIGMA if r == half else _SIGMA
        ring = np.exp(-((rho - r) ** 2) / (2 * sigma**2))
        for harmonic in (np.cos, np.sin)[: 2 if m else 1]:
            norm = np.linalg.norm(ring * harmonic(m * phi))
            functions.append(ring * harmonic(m * (phi - angle)) / norm)
    return np.stack(functions)
