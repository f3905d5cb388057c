"""The feature maps of some networks, rotated in every way, become moments a layer."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, reduce
from operator import add

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from benchmarks.features.maps import aligned_maps, on_disc, rotate_images, rotate_maps
from benchmarks.features.moments import Array, Moments, moments
from models.networks import Network

QUARTERS, EIGHTHS = (90, 180, 270), (45, 135)

_BATCH = 100


@dataclass(frozen=True)
class Target:
    """What is compared with the maps of an image as it is.

    Attributes
    ----------
    degrees
        How far the image was rotated, and its maps back.
    other_image
        Whether it was another image: nothing but the place of a pixel is in common then.
    resampled
        Whether the maps were rotated and rotated back, and not the image: what interpolation costs.
    """

    degrees: int
    other_image: bool = False
    resampled: bool = False


AS_IT_IS, OTHER_IMAGE, RESAMPLED = (
    Target(0),
    Target(90, other_image=True),
    Target(45, resampled=True),
)
TARGETS = (
    AS_IT_IS,
    *(Target(degrees) for degrees in sorted(QUARTERS + EIGHTHS)),
    OTHER_IMAGE,
    RESAMPLED,
)


@dataclass(frozen=True)
class LayerMoments:
    """One layer of several networks of one kind: moments on each half of the images.

    The predictors are the networks' channels one network after the other; the targets are as many
    for each of `TARGETS`.
    """

    networks: int
    fitted: Moments
    held_out: Moments

    @property
    def channels(self) -> int:
        """How many channels each network has here."""
        return len(self.fitted.x_mean) // self.networks

    def pair(self, network: int, target: Target, other: int) -> tuple[Moments, Moments]:
        """Return the moments of a network's maps with a target of the same or another network."""
        x, y = self._columns(network), self._columns(other + self.networks * TARGETS.index(target))
        return self.fitted.select(x, y), self.held_out.select(x, y)

    def correlation(self, target: Target) -> Array:
        """Return the correlation of all channels with all of a target's, on all images."""
        width = self.networks * self.channels
        start = width * TARGETS.index(target)
        return self.whole.select(slice(None), slice(start, start + width)).correlation

    @cached_property
    def whole(self) -> Moments:
        """The moments on all images."""
        return self.fitted + self.held_out

    def _columns(self, block: int) -> slice:
        return slice(block * self.channels, (block + 1) * self.channels)


def read_layers(networks: Sequence[Network], images: NDArray[np.uint8]) -> list[LayerMoments]:
    """Read all layers on two halves of images uint8 ``[N, C, n, n]``."""
    half = len(images) // 2
    halves = [_read(networks, part) for part in (images[:half], images[half:])]
    return [LayerMoments(len(networks), *pair) for pair in zip(*halves, strict=True)]


def _read(networks: Sequence[Network], images: NDArray[np.uint8]) -> list[Moments]:
    with torch.inference_mode():
        batches = torch.from_numpy(images).split(_BATCH)
        sums = [_batch_moments(networks, batch) for batch in batches]
    return [reduce(add, layer) for layer in zip(*sums, strict=True)]


def _batch_moments(networks: Sequence[Network], images: Tensor) -> list[Moments]:
    rotated = {}
    for degrees in (0, *QUARTERS, *EIGHTHS):
        turned = rotate_images(images, degrees)
        rotated[degrees] = [aligned_maps(network, turned, degrees) for network in networks]
    layers = len(rotated[0][0])
    return [
        moments(
            torch.cat([on_disc(maps[i]) for maps in rotated[0]], 1),
            torch.cat(
                [
                    on_disc(_target(target, [rotated[d][n][i] for d in (0, target.degrees)]))
                    for target in TARGETS
                    for n in range(len(networks))
                ],
                1,
            ),
        )
        for i in range(layers)
    ]


def _target(target: Target, maps: Sequence[Tensor]) -> Tensor:
    upright, aligned = maps
    if target.resampled:
        return rotate_maps(rotate_maps(upright, target.degrees), -target.degrees)
    return aligned.roll(1, 0) if target.other_image else aligned
