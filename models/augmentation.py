"""Random rotations, scales, shifts and exposures of training images."""

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


class Augmentation(BaseModel):
    """Ranges that a similarity transform and an exposure of each image are drawn from, uniformly.

    Attributes
    ----------
    degrees
        Largest rotation, either way; 180 covers the circle.
    scale
        Largest relative change of size, either way.
    shift
        Largest shift along each axis, either way, as a part of the side.
    exposure
        Largest relative change of all grey levels, either way.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    degrees: float = Field(default=0.0, ge=0, le=180)
    scale: float = Field(default=0.0, ge=0, lt=1)
    shift: float = Field(default=0.0, ge=0, lt=1)
    exposure: float = Field(default=0.0, ge=0, lt=1)


class TrainingImages:
    """Images uint8 ``[N, C, n, n]``, kept as augmentation samples them best."""

    def __init__(self, images: Tensor) -> None:
        self.side = images.shape[-1]
        self._enlarged = self.side <= LARGEST_ENLARGED
        self._source = enlarge(images) if self._enlarged else images

    def augmented(self, rows: Tensor, ranges: Augmentation, random: torch.Generator) -> Tensor:
        """Draw a transform for each image of ``rows`` and sample it: float32 in 0..255.

        What a transform brings in from outside of the image is black.
        """
        grid = _grid(len(rows), self.side, ranges, random)
        source = self._source[rows].float()
        if self._enlarged:
            images = F.grid_sample(source, grid, align_corners=False)
        else:
            images = F.grid_sample(source, grid, mode="bicubic", align_corners=False).clamp_(0, 255)
        if ranges.exposure:
            gain = 1 + ranges.exposure * (2 * torch.rand(len(rows), generator=random) - 1)
            images = (images * gain[:, None, None, None]).clamp_(0, 255)
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


def _grid(count: int, side: int, ranges: Augmentation, random: torch.Generator) -> Tensor:
    """Draw where each pixel of each image comes from: ``[N, n, n, 2]``, coordinates in -1..1."""
    u = torch.rand(4, count, generator=random) * 2 - 1
    angle = u[0] * math.radians(ranges.degrees)
    zoom = 1 + u[1] * ranges.scale
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    shift = 2 * ranges.shift * u[2:]  # affine_grid's coordinates run from -1 to 1
    rows = [torch.stack([cos, -sin, shift[0]], -1), torch.stack([sin, cos, shift[1]], -1)]
    return F.affine_grid(torch.stack(rows, 1), [count, 1, side, side], align_corners=False)
