import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.autoconfig import (
    LARGEST,
    SMALLEST,
    configure_network,
    configure_recipe,
    grey_levels,
    input_size,
    inspection,
    layers,
    width,
)
from models.datasets.split import Split
from models.groups import Group
from models.networks import Network, NetworkSpec, free_parameters

GROUPS = ["trivial", "C4", "D4", "C8", "D8"]


def noise(size, channels=1, count=4):
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (count, channels, size, size), np.uint8)
    return Split(images, np.arange(count) % 2)


@given(st.integers(SMALLEST, 600), st.integers(1, 4))
def test_every_size_gets_layers_that_obey_the_size_rule(size, fields):
    spec = NetworkSpec(
        group="D4", size=size, classes=2, mean=0.5, deviation=0.5, layers=layers(size, fields)
    )
    *_, (_, last) = spec.sides()  # raises a SizeError where the rule is broken
    assert 2 <= last <= 12


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("size", [8, 28, 64, 97, LARGEST])
def test_a_designed_network_can_be_built(group, size):
    spec = configure_network(noise(size, channels=3), 5, group)
    assert (spec.group, spec.size, spec.channels, spec.classes) == (group, size, 3, 5)
    Network(spec)


@given(
    st.lists(st.tuples(st.integers(1, 4000), st.integers(1, 4000)), min_size=1),
    st.sampled_from(["pad", "crop"]),
)
def test_the_input_is_as_large_as_the_images_within_bounds(sizes, mode):
    size = input_size(sizes, mode)
    assert SMALLEST <= size <= LARGEST
    assert size <= 64 or size % 2
    assert size <= max(SMALLEST, max(max(pair) for pair in sizes))


def test_the_input_follows_what_is_seen_of_the_images():
    assert input_size([(40, 30)] * 3, "pad") == 40
    assert input_size([(40, 30)] * 3, "crop") == 30
    assert input_size([(100, 50)] * 3, "pad") == 99
    assert input_size([(20, 20), (20, 20), (3000, 3000)], "pad") == 20


def test_every_group_gets_about_as_many_free_values():
    split = noise(40)
    counts = [
        free_parameters(Network(configure_network(split, 2, group)))
        for group in ("trivial", "C4", "D4")
    ]
    assert max(counts) < 1.25 * min(counts)


def test_more_images_get_a_wider_network():
    widths = [width(Group.named("C4"), images) for images in (100, 5000, 100_000)]
    assert widths == sorted(set(widths))


def test_mean_and_deviation_are_those_of_the_pixels():
    split = noise(9, channels=3)
    mean, deviation = grey_levels(split)
    assert mean == pytest.approx(split.images.mean() / 255, abs=1e-4)
    assert deviation == pytest.approx(split.images.std() / 255, abs=1e-4)


def test_images_of_one_grey_level_do_not_divide_by_zero():
    flat = Split(np.full((4, 1, 16, 16), 200, np.uint8), np.arange(4) % 2)
    assert configure_network(flat, 2, "C4").deviation > 0


@given(st.integers(16, 200_000), st.sampled_from(GROUPS))
def test_a_recipe_holds_out_some_images_and_never_all(images, group):
    recipe = configure_recipe(images, group)
    assert 0 < recipe.validation < images / 2
    assert recipe.patience < recipe.epochs
    assert recipe.class_weights


def test_what_has_an_up_is_not_rotated():
    assert configure_recipe(1000, "trivial").augmentation.degrees == 0
    assert configure_recipe(1000, "C4").augmentation.degrees == 180


def test_the_network_for_solar_cells_can_be_built():
    spec, _ = inspection()
    assert Network(spec).group == Group.named("D4")
