"""Feature maps of rotated images, rotated back, so that they lie on those of the images."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from benchmarks.study.measures import rotated
from models.networks import Network

_MOST_PIXELS = 64


def feature_maps(network: Network, images: Tensor) -> list[Tensor]:
    """Return what each ReLU puts out, an orbit's orientations as channels: ``[N, C |G|, H, W]``."""
    maps, x = [], network.normalise(images)
    for module in network.body:
        x = module(x)
        if isinstance(module, nn.ReLU):
            maps.append(x.flatten(1, 2))
    return maps


def rotate_images(images: Tensor, degrees: int) -> Tensor:
    """Rotate images uint8 ``[N, C, n, n]`` counterclockwise, sampled like training images."""
    return torch.from_numpy(rotated(images.numpy(), degrees)) if degrees else images


def aligned_maps(network: Network, rotated_images: Tensor, degrees: int) -> list[Tensor]:
    """Return ``r^-1 f(r x)`` for each layer ``f``, given ``r x``: ``x`` rotated by ``degrees``.

    For a quarter turn both rotations only move pixels; for others, maps are rotated back by bicubic
    interpolation.

    Returns
    -------
    list of float32 [N, C |G|, H, W]
    """
    return [rotate_maps(x, -degrees) for x in feature_maps(network, rotated_images)]


def rotate_maps(x: Tensor, degrees: int) -> Tensor:
    """Rotate maps counterclockwise about their centre; beyond the border it goes on as it is."""
    quarters, rest = divmod(degrees, 90)
    if not rest:
        return torch.rot90(x, quarters, (-2, -1))
    t = torch.deg2rad(torch.tensor(float(degrees)))
    cos, sin, zero = torch.cos(t), torch.sin(t), torch.tensor(0.0)
    matrix = torch.stack([torch.stack([cos, -sin, zero]), torch.stack([sin, cos, zero])])
    grid = F.affine_grid(matrix.expand(len(x), 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, "bicubic", "border", align_corners=False)


def disc(side: int) -> Tensor:
    """Return which pixels of a square lie in the circle that it holds: bool ``[side, side]``.

    Rotations of it stay in the square, so that every one is compared on the same pixels.
    """
    places = torch.arange(side) - (side - 1) / 2
    return torch.hypot(places[:, None], places[None]) <= side / 2


def on_disc(x: Tensor) -> Tensor:
    """Return the values of maps at some pixels of the disc, a row a pixel: ``[N P, C]``.

    Neighbouring pixels of a large map say much the same, so that a part of them, drawn once, does.
    """
    pixels = disc(x.shape[-1]).flatten().nonzero()[:, 0]
    drawn = torch.randperm(len(pixels), generator=torch.Generator().manual_seed(0))
    return x.flatten(2)[..., pixels[drawn[:_MOST_PIXELS]]].transpose(1, 2).flatten(0, 1)
