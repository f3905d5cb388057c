from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn

from export.bake import bake
from models.networks import (
    Convolution,
    LayerSpec,
    MaxPooling,
    Network,
    NetworkSpec,
    RestrictTo,
    multiply_adds,
)

GROUPS = ["trivial", "C4", "D4"]


@pytest.mark.parametrize("group", GROUPS)
def test_baking_changes_no_answer(make_network, test_images, group):
    network = make_network(group)
    images = torch.from_numpy(test_images.images)
    with torch.inference_mode():
        logits, probabilities = bake(network)(images)
        torch.testing.assert_close(logits, network(images), rtol=0, atol=1e-5)
        torch.testing.assert_close(probabilities.sum(1), torch.ones(len(images)))


@pytest.mark.parametrize("group", GROUPS)
def test_nothing_but_plain_layers_is_left(make_network, group):
    plain = (nn.Conv2d, nn.ReLU, nn.MaxPool2d, nn.Linear)
    layers = list(bake(make_network(group)).layers)
    assert [type(layer).__name__ for layer in layers if not isinstance(layer, plain)] == [
        "Normalise",
        "OrbitMax",
    ]


def test_filters_of_an_orbit_hold_the_same_bits(make_network):
    """Every filter, rotated and its input orientations cycled, is the next one of its orbit."""
    lift, *others = [m for m in bake(make_network("C4")).layers if isinstance(m, nn.Conv2d)]
    lifted = lift.weight.detach().numpy().reshape(-1, 4, *lift.weight.shape[1:])
    for g in range(4):
        assert np.array_equal(np.rot90(lifted[:, 0], g, (-2, -1)), lifted[:, g])
    for layer in others:
        weight = layer.weight.detach().numpy()
        bank = weight.reshape(len(weight) // 4, 4, -1, 4, *weight.shape[2:])
        for g in range(4):
            rotated = np.rot90(np.roll(bank[:, 0], g, axis=2), g, (-2, -1))
            assert np.array_equal(rotated, bank[:, g])
        bias = layer.bias.detach().numpy().reshape(-1, 4)
        assert np.array_equal(bias, bias[:, :1].repeat(4, axis=1))


LARGE = {
    "steerable": ("C8", "steerable", []),
    "separable": ("C4", "grid", [Convolution(channels=4, kernel=3, padding=1, separable=True)]),
    "restricted": (
        "D8",
        "steerable",
        [
            RestrictTo(group="C8"),
            Convolution(channels=3, kernel=3, padding=1, separable=True),
            RestrictTo(group="trivial"),
            MaxPooling(kernel=2, stride=2),
            Convolution(channels=4, kernel=3, padding=1),
        ],
    ),
}


@pytest.mark.parametrize("kind", LARGE)
def test_steerable_separable_and_restricted_networks_are_baked_too(kind, test_images):
    group, basis, layers = LARGE[kind]
    torch.manual_seed(0)
    spec = NetworkSpec(
        group=group,
        basis=basis,
        size=12,
        classes=3,
        mean=0.4,
        deviation=0.3,
        layers=(Convolution(channels=2, kernel=3, padding=1), *layers),
        field_dropout=0.2,
    )
    network = Network(spec)
    images = torch.from_numpy(test_images.images[:64])
    with torch.inference_mode():
        network(images)  # gives the batch normalisations their statistics
        network.eval()
        torch.testing.assert_close(bake(network)(images)[0], network(images), rtol=0, atol=1e-5)
    assert multiply_adds(network) == counted(bake(network), images[:1])


def counted(baked, image):
    """What its linear maps multiply, seen as it runs."""
    found = []
    for layer in baked.layers:
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(
                lambda layer, _, output: found.append(layer.weight.numel() * output[0, 0].numel())
            )
    baked(image)
    return sum(found)


def test_every_kind_of_layer_is_baked_above():
    kinds = {type(layer) for _, _, layers in LARGE.values() for layer in layers}
    assert kinds == set(get_args(get_args(LayerSpec)[0]))


def test_a_layer_without_a_plain_counterpart_is_refused(make_network):
    network = make_network("C4")
    network.body.append(nn.Sigmoid())
    with pytest.raises(ValueError, match="Sigmoid"):
        bake(network)
