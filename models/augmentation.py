"""Random rotations, scales and shifts of training images."""

import math

import torch
import torch.nn.functional as F
from pydantic import BaseModel, ConfigDict, Field
from torch import Tensor

# Sampling an image that was enlarged first, with bicubic interpolation, loses far less sharpness
# than bilinear sampling of the image itself, and leaves an unturned image as it was.
ENLARGEMENT = 3


class Augmentation(BaseModel):
    """Ranges that a similarity transform of each image is drawn from, uniformly.

    Attributes
    ----------
    degrees
        Largest rotation, either way; 180 covers the circle.
    scale
        Largest relative change of size, either way.
    shift
        Largest shift along each axis, either way, as a part of the side.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    degrees: float = Field(default=0.0, ge=0, le=180)
    scale: float = Field(default=0.0, ge=0, lt=1)
    shift: float = Field(default=0.0, ge=0, lt=1)


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


def augment(enlarged: Tensor, ranges: Augmentation, random: torch.Generator) -> Tensor:
    """Draw a transform for each enlarged image and sample it: float32 ``[N, C, n, n]`` in 0..255.

    What a transform brings in from outside of the image is black.
    """
    count, channels, side, _ = enlarged.shape
    u = torch.rand(4, count, generator=random) * 2 - 1
    angle = u[0] * math.radians(ranges.degrees)
    zoom = 1 + u[1] * ranges.scale
    cos, sin = torch.cos(angle) * zoom, torch.sin(angle) * zoom
    shift = 2 * ranges.shift * u[2:]  # affine_grid's coordinates run from -1 to 1
    rows = [torch.stack([cos, -sin, shift[0]], -1), torch.stack([sin, cos, shift[1]], -1)]
    size = [count, channels, side // ENLARGEMENT, side // ENLARGEMENT]
    grid = F.affine_grid(torch.stack(rows, 1), size, align_corners=False)
    return F.grid_sample(enlarged.float(), grid, align_corners=False)
