import pytest
import torch
from pydantic import ValidationError

from models.equivariance import assert_equivariant
from models.geometry import SizeError
from models.groups import Group
from models.networks import (
    Convolution,
    MaxPooling,
    Network,
    NetworkSpec,
    free_parameters,
    multiply_adds,
)
from models.presets import PRESETS


def spec(group="C4", **changes):
    fields = {
        "group": group,
        "size": 12,
        "classes": 3,
        "mean": 0.2,
        "deviation": 0.4,
        "layers": (
            Convolution(channels=2, kernel=3),
            MaxPooling(kernel=2, stride=2),
            Convolution(channels=4, kernel=3, padding=1),
        ),
    }
    return NetworkSpec(**(fields | changes))


@pytest.mark.parametrize("name", ["C4", "D4"])
def test_a_network_is_invariant(name):
    torch.manual_seed(0)
    network = Network(spec(name)).double().eval()
    network.normalise.forward = lambda x: x.double() / 102 - 0.5
    x = torch.randint(0, 256, (3, 1, 12, 12))
    assert_equivariant(network, Group.named(name), x, tolerance=1e-10)


def test_a_plain_network_is_not():
    torch.manual_seed(0)
    with pytest.raises(AssertionError):
        x = torch.randint(0, 256, (3, 1, 12, 12))
        assert_equivariant(Network(spec("trivial")).eval(), Group.named("C4"), x, tolerance=1e-3)


def test_specification_survives_json():
    assert NetworkSpec.model_validate_json(spec().model_dump_json()) == spec()


def test_a_size_that_breaks_the_symmetry_is_refused_where_the_network_is_built():
    with pytest.raises(SizeError, match=r"layer 2 \(max_pooling\).*nearest sizes"):
        Network(spec(size=13))


@pytest.mark.parametrize(
    "changes",
    [{"layers": (MaxPooling(kernel=2),)}, {"group": "C3"}, {"layers": ()}, {"classes": 1}],
)
def test_specifications_that_make_no_network_are_refused(changes):
    with pytest.raises(ValidationError):
        spec(**changes)


def test_the_networks_that_are_compared_are_of_equal_size():
    pair = [Network(PRESETS[name].network) for name in ("rotmnist-c4", "rotmnist-cnn")]
    sizes = [free_parameters(network) for network in pair]
    assert max(sizes) < 1.01 * min(sizes)


def test_multiply_adds_are_those_of_the_baked_network():
    network = spec()
    # 10 x 10 pixels, 3 x 3 taps, 1 -> 8 channels; 5 x 5 pixels, 8 -> 16; 4 features -> 3 classes.
    assert multiply_adds(Network(network)) == 100 * 9 * 8 + 25 * 9 * 8 * 16 + 4 * 3


def test_whole_fields_are_left_out_in_training_and_none_later():
    torch.manual_seed(0)
    network = Network(spec(field_dropout=0.5))
    first = network.body[:4]  # convolution, normalisation, ReLU, dropout
    field = first(torch.rand(20, 1, 12, 12) + 0.5)
    left_out = (field == 0).flatten(2).all(2).float().mean().item()
    assert left_out == pytest.approx(0.5, abs=0.2)
    assert sum(isinstance(layer, torch.nn.Dropout3d) for layer in network.body) == 1
    x = torch.randint(0, 256, (2, 1, 12, 12))
    network.eval()
    assert torch.equal(network(x), network(x))
