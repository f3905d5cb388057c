"""Baking: a network's group structure becomes the weights of plain convolutions."""

import torch
from torch import Tensor, nn

from models.layers import GroupBatchNorm, GroupConv, GroupMaxPool2d, LiftingConv
from models.networks import Network


class OrbitMax(nn.Module):
    """Maximum over each orbit's channels and all pixels: ``[N, C |G|, H, W] -> [N, C]``."""

    def __init__(self, order: int) -> None:
        super().__init__()
        self.order = order

    def forward(self, x: Tensor) -> Tensor:
        """Pool ``x``."""
        return x.unflatten(1, (-1, self.order)).amax((2, 3, 4))


class Baked(nn.Module):
    """Plain layers: uint8 images ``[N, C, n, n] -> logits, probabilities``, each ``[N, K]``."""

    def __init__(self, layers: nn.Sequential) -> None:
        super().__init__()
        self.layers = layers

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Classify the images."""
        logits: Tensor = self.layers(image)
        return logits, logits.softmax(1)


def bake(network: Network) -> Baked:
    """Return ``network`` as plain layers: expanded filters, batch normalisation folded in.

    The filters of an orbit are moved on the grid first and then scaled by the same number, so that
    they still hold the same bits.

    Raises
    ------
    ValueError
        If a layer is of a kind that has no plain counterpart here.
    """
    layers = nn.Sequential(network.normalise)
    modules = list(network.body)
    while modules:
        layer = modules.pop(0)
        if isinstance(layer, LiftingConv | GroupConv):
            norm = modules.pop(0)
            if not isinstance(norm, GroupBatchNorm):
                raise ValueError(f"A group convolution is followed by {norm}, which is not baked.")
            layers.append(_plain_convolution(layer, norm))
        elif isinstance(layer, GroupMaxPool2d):
            layers.append(nn.MaxPool2d(layer.kernel_size, layer.stride, layer.padding))
        elif isinstance(layer, nn.ReLU):
            layers.append(nn.ReLU())
        else:
            raise ValueError(f"{layer} has no plain counterpart.")
    layers.append(OrbitMax(network.group.order))
    layers.append(network.head)
    return Baked(layers).eval()


def _plain_convolution(layer: LiftingConv | GroupConv, norm: GroupBatchNorm) -> nn.Conv2d:
    assert norm.running_mean is not None and norm.running_var is not None  # noqa: S101
    with torch.no_grad():
        bank = layer.expand().double()
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        shift = norm.bias.double() - norm.running_mean.double() * scale
        order = layer.group.order
        weight = bank * scale.repeat_interleave(order)[:, None, None, None]
        plain = nn.Conv2d(bank.shape[1], bank.shape[0], bank.shape[-1], layer.stride, layer.padding)
        plain.weight.copy_(weight)
        plain.bias.copy_(shift.repeat_interleave(order))  # type: ignore[union-attr]
    return plain
