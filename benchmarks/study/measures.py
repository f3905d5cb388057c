"""What is measured of one trained network."""

import math
from typing import NamedTuple

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy import ndimage

from models.augmentation import ENLARGEMENT, enlarge
from models.datasets.split import Split
from models.layers import LiftingConv
from models.networks import Network
from models.training import predict

ANGLES = 36
SIMILAR = 0.9


class Guarantee(NamedTuple):
    """Errors in percent; an image is wrong at worst if it is wrong at any of the 36 angles."""

    upright_error: float
    worst_error: float
    agreement_quarters: float
    agreement_angles: float


def guarantee(network: Network, data: Split) -> Guarantee:
    """Measure errors and the part of images whose label is the same on all of their orbit."""
    quarters = np.stack([predict(network, _quarter(data.images, k)) for k in range(4)])
    angles = np.stack(
        [predict(network, rotated(data.images, 360 * i / ANGLES)) for i in range(ANGLES)]
    )
    return Guarantee(
        upright_error=_percent(quarters[0] != data.labels),
        worst_error=_percent((angles != data.labels).any(0)),
        agreement_quarters=_percent((quarters == quarters[0]).all(0)),
        agreement_angles=_percent((angles == angles[0]).all(0)),
    )


def rotated(images: NDArray[np.uint8], degrees: float) -> NDArray[np.uint8]:
    """Rotate images about their centre, sampled like training images; outside is black."""
    source = enlarge(torch.from_numpy(images))
    t = math.radians(degrees)
    matrix = [[math.cos(t), -math.sin(t), 0.0], [math.sin(t), math.cos(t), 0.0]]
    theta = torch.tensor(matrix).expand(len(images), 2, 3)
    side = source.shape[-1] // ENLARGEMENT
    grid = F.affine_grid(theta, [len(images), 1, side, side], align_corners=False)
    sampled = F.grid_sample(source.float(), grid, align_corners=False)
    return sampled.round().clamp(0, 255).to(torch.uint8).numpy()


def redundancy(network: Network) -> float:
    """Return the percentage of first-layer base filters that are rotated copies of another one.

    A filter is a copy if its cosine similarity with another exceeds 0.9 at the best of 36 angles.
    """
    similarity = filter_similarity(base_filters(network))
    np.fill_diagonal(similarity, -1)
    copies: NDArray[np.bool_] = np.max(similarity, 1) > SIMILAR
    return _percent(copies)


def base_filters(network: Network) -> NDArray[np.float32]:
    """Return the first layer's filters ``[F, k, k]`` in one orientation, of the first channel.

    Raises
    ------
    ValueError
        If the network does not begin with a lifting convolution.
    """
    first = network.body[0]
    if not isinstance(first, LiftingConv):
        raise ValueError("The network does not begin with a lifting convolution.")
    bank: NDArray[np.float32] = first.expand()[0].weight.detach().numpy()
    return bank[:: first.group.order, 0]


def filter_similarity(bank: NDArray[np.float32], *, mirrored: bool = False) -> NDArray[np.float32]:
    """Return the cosine similarity ``[F, F]`` of filters ``[F, k, k]`` at the best of 36 angles.

    Filters are rotated by cubic interpolation and compared on the disc inside their square; with
    ``mirrored``, mirror images of them as well.
    """
    half = bank.shape[-1] // 2
    rows, columns = np.mgrid[-half : half + 1, -half : half + 1]
    disc = np.hypot(rows, columns) <= half + 0.5
    plain = unit(bank[:, disc])
    best = np.full((len(bank), len(bank)), -1, np.float32)
    for source in (bank, bank[:, :, ::-1])[: 1 + mirrored]:
        for i in range(ANGLES):
            turned = ndimage.rotate(source, 360 * i / ANGLES, (-2, -1), reshape=False, order=3)
            best = np.maximum(best, unit(turned[:, disc]) @ plain.T)
    return np.maximum(best, best.T)


def _quarter(images: NDArray[np.uint8], turns: int) -> NDArray[np.uint8]:
    return np.ascontiguousarray(np.rot90(images, turns, (-2, -1)))


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return vectors ``[N, D]`` of length one."""
    found: NDArray[np.float32] = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return found


def _percent(flags: NDArray[np.bool_]) -> float:
    return 100 * float(flags.mean())
