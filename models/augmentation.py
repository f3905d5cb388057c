"""Random rotations, scales, shears, shifts, deformations and exposures of training images."""

import math

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

# Sampling an image that was enlarged first, with bicubic interpolation, loses far less sharpness
# than bilinear sampling of the image itself, and leaves an unturned image as it was.
ENLARGEMENT = 3

# Enlarged images take nine times the memory. Beyond this side they are sampled as they are, with
# bicubic interpolation, which also leaves an unturned image as it was.
LARGEST_ENLARGED = 64

# A deformation is drawn at this many points along each side and interpolated between them.
_KNOTS = 7


class Augmentation(BaseModel):
    """Ranges that a transform and an exposure of each image are drawn from, uniformly.

    Attributes
    ----------
    degrees
        Largest rotation, either way; 180 covers the circle.
    scale
        Largest relative change of size, either way.
    shear
        Largest relative stretch along an axis of random direction, with as much compression across
        it.
    elastic
        Standard deviation, in pixels, of random displacements that vary smoothly over the image.
    shift
        Largest shift along each axis, either way, as a part of the side.
    exposure
        Largest relative change of all grey levels, either way.
    dihedral
        Whether each image is also turned by one of the four quarter turns, and mirrored or not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    degrees: float = Field(default=0.0, ge=0, le=180)
    scale: float = Field(default=0.0, ge=0, lt=1)
    shear: float = Field(default=0.0, ge=0, lt=1)
    elastic: float = Field(default=0.0, ge=0)
    shift: float = Field(default=0.0, ge=0, lt=1)
    exposure: float = Field(default=0.0, ge=0, lt=1)
    dihedral: bool = False


class TrainingImages:
    """Images uint8 ``[N, C, n, n]``, kept on ``device`` as augmentation samples them best.

    Random numbers are drawn on the CPU, so that one generator gives every device the same ones.
    """

    def __init__(self, images: Tensor, device: torch.device | None = None) -> None:
        self.side = images.shape[-1]
        self._enlarged = self.side <= LARGEST_ENLARGED
        self._source = (enlarge(images) if self._enlarged else images).to(device)

    def augmented(self, rows: Tensor, ranges: Augmentation, random: torch.Generator) -> Tensor:
        """Draw a transform for each image of ``rows`` and sample it: float32 in 0..255.

        What a transform brings in from outside of the image is black.
        """
        source = self._source[rows].float()
        grid = _grid(len(rows), self.side, ranges, random, source.device)
        if self._enlarged:
            images = F.grid_sample(source, grid, align_corners=False)
        else:
            images = F.grid_sample(source, grid, mode="bicubic", align_corners=False).clamp_(0, 255)
        if ranges.exposure:
            gain = 1 + ranges.exposure * (2 * torch.rand(len(rows), generator=random) - 1)
            images = (images * gain.to(images.device)[:, None, None, None]).clamp_(0, 255)
        return images


def enlarge(images: Tensor) -> Tensor:
    """Enlarge uint8 ``[N, C, n, n]`` by bicubic interpolation, in chunks that bound the memory."""
    chunks = [
        F.interpolate(chunk.float(), scale_factor=ENLARGEMENT, mode="bicubic")
        .round()
        .clamp(0, 255)
        .to(torch.uint8)
        for chunk in images.split(1024)
    ]
    return torch.cat(chunks)


def _grid(
    count: int, side: int, ranges: Augmentation, random: torch.Generator, device: torch.device
) -> Tensor:
    """Draw where each pixel of each image comes from: ``[N, n, n, 2]``, coordinates in -1..1."""
    u = torch.rand(4, count, generator=random) * 2 - 1
    angle = u[0] * math.radians(ranges.degrees)
    zoom = 1 + u[1] * ranges.scale
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    shift = 2 * ranges.shift * u[2:]  # affine_grid's coordinates run from -1 to 1
    rows = [torch.stack([cos, -sin, shift[0]], -1), torch.stack([sin, cos, shift[1]], -1)]
    matrices = torch.stack(rows, 1)
    if ranges.shear:
        linear = matrices[..., :2] @ _shears(count, ranges.shear, random)
        matrices = torch.cat([linear, matrices[..., 2:]], -1)
    if ranges.dihedral:
        linear = _of_the_square(count, random) @ matrices[..., :2]
        matrices = torch.cat([linear, matrices[..., 2:]], -1)
    grid = F.affine_grid(matrices.to(device), [count, 1, side, side], align_corners=False)
    if ranges.elastic:
        knots = torch.randn(count, 2, _KNOTS, _KNOTS, generator=random) * ranges.elastic * 2 / side
        moved = F.interpolate(
            knots.to(device), size=(side, side), mode="bicubic", align_corners=True
        )
        grid = grid + moved.permute(0, 2, 3, 1)
    return grid


def _of_the_square(count: int, random: torch.Generator) -> Tensor:
    """Draw matrices ``[N, 2, 2]`` of the eight symmetries of the square."""
    quarter = torch.randint(4, (count,), generator=random) * (math.pi / 2)
    mirror = 1 - 2 * torch.randint(2, (count,), generator=random)
    cos, sin = torch.cos(quarter).round(), torch.sin(quarter).round()
    rows = [torch.stack([cos, -sin * mirror], -1), torch.stack([sin, cos * mirror], -1)]
    return torch.stack(rows, 1)


def _shears(count: int, largest: float, random: torch.Generator) -> Tensor:
    """Draw symmetric matrices ``[N, 2, 2]`` that stretch one axis and compress the other."""
    amount, direction = torch.rand(2, count, generator=random)
    along = amount * largest * torch.cos(2 * math.pi * direction)
    across = amount * largest * torch.sin(2 * math.pi * direction)
    rows = [torch.stack([1 + along, across], -1), torch.stack([across, 1 - along], -1)]
    return torch.stack(rows, 1)
