"""Cracks drawn onto images of what is intact, to learn from more of them than there are."""

import math

import torch
from pydantic import BaseModel, ConfigDict, Field, model_validator
from torch import Tensor


class Cracks(BaseModel):
    """How many intact images get a crack, which is drawn anew each time.

    Li et al., "CutPaste: Self-Supervised Learning for Anomaly Detection and Localization", CVPR
    2021, learn from defects that they make; these look like cracks in silicon.

    Attributes
    ----------
    share
        The part of intact images that get one in the first epoch; it falls linearly.
    until
        The part of all epochs after which none is drawn, and real ones alone are learned.
    intact, cracked
        The class of images without a crack, and the one that they belong to with it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    share: float = Field(gt=0, le=1)
    until: float = Field(default=0.8, gt=0, le=1)
    intact: int = Field(default=0, ge=0)
    cracked: int = Field(default=1, ge=0)

    @model_validator(mode="after")
    def _changes_the_class(self) -> "Cracks":
        if self.intact == self.cracked:
            raise ValueError("An image with a crack is of another class than one without.")
        return self

    def drawn(
        self, x: Tensor, targets: Tensor, done: float, random: torch.Generator
    ) -> tuple[Tensor, Tensor]:
        """Draw cracks onto some of the images that are surely intact, and change what they are.

        Parameters
        ----------
        x, targets
            Grey levels float32 ``[N, C, n, n]`` and probabilities float32 ``[N, K]``.
        done
            The part of all epochs that is over.
        """
        share = self.share * max(0.0, 1 - done / self.until)
        some = torch.rand(len(x), generator=random) < share
        chosen = some.to(x.device) & (targets[:, self.intact] > 0.9)
        if not chosen.any():
            return x, targets
        x, targets = x.clone(), targets.clone()
        gain = cracks(int(chosen.sum()), x.shape[-1], random)
        x[chosen] *= gain[:, None].to(x.device)
        targets[chosen] = torch.eye(targets.shape[1], device=targets.device)[self.cracked]
        return x, targets


def cracks(count: int, side: int, random: torch.Generator) -> Tensor:
    """Draw by how much cracks darken images: float32 ``[count, side, side]``, 0.2 to 1.

    Each has a crack and up to two more from where it begins; three in ten are darker on one side of
    the first, as where a crack cuts off the current.
    """

    def uniform(least: float, most: float) -> Tensor:
        return least + (most - least) * torch.rand(count, 1, 1, generator=random)

    def present(probability: float) -> Tensor:
        return (torch.rand(count, 1, 1, generator=random) < probability).float()

    pixels = torch.arange(side).float()
    rows, columns = pixels[None, :, None], pixels[None, None, :]

    def curve(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
        """Draw a way from a point: the distance of each pixel from it, and 1 along it, else 0.

        Distances are signed, in pixels; both are float32 [count, side, side].
        """
        angle = uniform(0, 2 * math.pi)
        along = (columns - x) * torch.cos(angle) + (rows - y) * torch.sin(angle)
        across = (rows - y) * torch.cos(angle) - (columns - x) * torch.sin(angle)
        bend = torch.zeros(())
        for k in range(3):
            wave = uniform(0.15, 1) * side / (k + 1)
            height = uniform(0, 0.035) * wave
            bend = bend + height * torch.sin(2 * math.pi * along / wave + uniform(0, 6.3))
        bend = bend + uniform(-1, 1) * 0.3 / side * along * along * uniform(0, 1)
        ahead, back = uniform(0.15, 0.9) * side, (1 - present(0.5)) * uniform(0, 0.6) * side
        inside = torch.sigmoid((ahead - along) / 3) * torch.sigmoid((along + back) / 3)
        return across - bend, inside

    darkness, width = uniform(0.1, 0.45), uniform(0.5, 1.1)
    x, y = uniform(0.1, 0.9) * side, uniform(0.1, 0.9) * side
    distance, inside = curve(x, y)
    gain = 1 - darkness * inside * torch.exp(-((distance / width) ** 2))
    depth, reach = present(0.3) * uniform(0.05, 0.35), uniform(0.05, 0.5) * side
    beside = torch.sigmoid(distance / 0.7) * torch.sigmoid((reach - distance) / (0.1 * reach + 1))
    gain = gain * (1 - depth * inside * beside)
    for probability in (0.4, 0.2):
        distance, inside = curve(x, y)
        fainter = present(probability) * darkness * uniform(0.6, 1.1)
        gain = gain * (1 - fainter * inside * torch.exp(-((distance / width) ** 2)))
    return gain.clamp(0.2, 1)
