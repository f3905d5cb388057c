"""Baking: a network's group structure becomes the weights of plain convolutions."""

import numpy as np
import torch
from torch import Tensor, nn

from audit import RefusedError
from models.layers import (
    GroupBatchNorm,
    GroupLinearMap,
    GroupMaxPool2d,
    PlainConv,
    Restriction,
)
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
    group, features = network.group, int(network.spec.channels)
    order: list[int] | None = None  # of the channels, where a restriction regroups them
    modules = list(network.body)
    while modules:
        layer = modules.pop(0)
        match layer:
            case GroupLinearMap():
                norm = modules.pop(0)
                if not isinstance(norm, GroupBatchNorm):
                    raise RefusedError(f"A group convolution is followed by {norm}: not baked.")
                layers.extend(_plain_convolutions(layer, norm, order))
                order, features = None, norm.num_features
            case Restriction():
                channels = torch.arange(features * group.order)
                regrouped = layer(channels.reshape(1, features, group.order, 1, 1))
                order, features = regrouped.flatten().tolist(), regrouped.shape[1]
                group = layer.subgroup
            case GroupMaxPool2d():
                layers.append(nn.MaxPool2d(layer.kernel_size, layer.stride, layer.padding))
            case nn.ReLU():
                layers.append(nn.ReLU())
            case nn.Dropout3d():
                pass  # for training alone
            case _:
                raise RefusedError(f"{layer} has no plain counterpart.")
    if order is not None:
        raise RefusedError("A restriction that no convolution follows has no plain counterpart.")
    layers.append(OrbitMax(group.order))
    layers.append(network.head)
    return Baked(layers).eval()


def _plain_convolutions(
    layer: GroupLinearMap, norm: GroupBatchNorm, order: list[int] | None
) -> list[nn.Conv2d]:
    """Return the layer's convolutions, batch normalisation in the last one.

    The first one reads its input channels where they are, not where ``order`` would move them.
    """
    assert norm.running_mean is not None and norm.running_var is not None  # noqa: S101
    with torch.no_grad():
        scale = norm.weight.double() / (norm.running_var.double() + norm.eps).sqrt()
        shift = norm.bias.double() - norm.running_mean.double() * scale
        scale, shift = (value.repeat_interleave(layer.group.order) for value in (scale, shift))
        *before, last = layer.expand()
        last = last._replace(weight=last.weight.double() * scale[:, None, None, None])
        first, *others = [*before, last]
        if order is not None:
            first = first._replace(weight=first.weight[:, np.argsort(order)])
        convolutions = [_plain_convolution(conv) for conv in (first, *others)]
        bias = nn.Parameter(shift.float())
        convolutions[-1].bias = bias
    return convolutions


def _plain_convolution(conv: PlainConv) -> nn.Conv2d:
    channels, inputs, kernel, _ = conv.weight.shape
    plain = nn.Conv2d(
        inputs * conv.blocks,
        channels,
        kernel,
        conv.stride,
        conv.padding,
        groups=conv.blocks,
        bias=False,
    )
    plain.weight.copy_(conv.weight)
    return plain
