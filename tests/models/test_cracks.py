"""Drawn cracks: thin dark lines on what is surely intact, whose label changes with them."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from imaging.refusal import RefusedError
from models.cracks import Cracks, cracks
from models.datasets.split import Split
from models.networks import Convolution, MaxPooling, NetworkSpec
from models.recipe import Recipe
from models.training import Training

SURE, UNSURE, CRACKED = [1.0, 0.0], [2 / 3, 1 / 3], [0.0, 1.0]


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


@given(seed=st.integers(0, 2**32), side=st.integers(8, 80), count=st.integers(1, 4))
def test_images_are_darkened_and_never_black(seed, side, count):
    gain = cracks(count, side, seeded(seed))
    assert gain.shape == (count, side, side)
    assert gain.dtype == torch.float32
    assert gain.min() >= 0.2
    assert gain.max() <= 1
    assert torch.equal(gain, cracks(count, side, seeded(seed)))


def test_a_crack_is_one_long_thin_line():
    long, thin = 0, 0
    for gain in cracks(100, 161, seeded()).numpy():
        parts, count = ndimage.label(gain < 0.95, np.ones((3, 3)))
        sizes = ndimage.sum_labels(gain < 0.95, parts, range(1, count + 1))
        largest = np.argwhere(parts == 1 + int(np.argmax(sizes))) if count else np.zeros((1, 2))
        long += np.ptp(largest, axis=0).max() > 20
        thin += (gain < 0.95).mean() < 0.02
    assert long > 80
    assert thin > 60  # others are darker on one side


@given(seed=st.integers(0, 2**32), share=st.floats(0.01, 1))
def test_only_what_is_surely_intact_is_cracked_and_only_its_label_changes(seed, share):
    x = torch.full((30, 1, 40, 40), 200.0)
    targets = torch.tensor(10 * [SURE, UNSURE, CRACKED])
    before = x.clone(), targets.clone()
    y, wanted = Cracks(share=share).drawn(x, targets, 0, seeded(seed))
    assert torch.equal(x, before[0])
    assert torch.equal(targets, before[1])
    drawn = (y != x).any(dim=(1, 2, 3))
    assert not drawn[targets[:, 0] < 0.9].any()
    assert torch.equal(wanted != targets, drawn[:, None].expand(-1, 2))
    assert (wanted[drawn] == torch.tensor(CRACKED)).all()


@pytest.mark.parametrize(
    ("done", "share"), [(0, 0.6), (0.25, 0.3), (0.49, 0.012), (0.5, 0), (0.75, 0)]
)
def test_fewer_are_drawn_until_real_ones_alone_are_left(done, share):
    x, targets = torch.full((1000, 1, 8, 8), 200.0), torch.tensor([SURE]).repeat(1000, 1)
    _, wanted = Cracks(share=0.6, until=0.5).drawn(x, targets, done, seeded())
    assert wanted[:, 1].mean().item() == pytest.approx(share, abs=0.05 if share else 0)


def test_classes_are_those_that_are_named():
    x, targets = torch.full((4, 3, 20, 20), 200.0), torch.eye(4)
    recipe = Cracks(share=1, intact=3, cracked=0)
    y, wanted = recipe.drawn(x, targets, 0, seeded())
    assert (y != x).any(dim=(1, 2, 3)).tolist() == [False, False, False, True]
    assert wanted.argmax(1).tolist() == [0, 1, 2, 0]


def test_a_network_that_has_seen_no_other_cracks_finds_them():
    """And says that it errs seldom, though all labels say "intact"."""
    noise = np.random.default_rng(0).normal(150, 3, (256, 1, 33, 33)).astype(np.uint8)
    spec = NetworkSpec(
        group="C4",
        size=33,
        classes=2,
        mean=0.6,
        deviation=0.1,
        layers=(
            Convolution(channels=4, kernel=5, stride=2, padding=2),
            MaxPooling(kernel=3, stride=2, padding=1),
            Convolution(channels=8, kernel=3, padding=1),
        ),
    )
    recipe = Recipe(
        epochs=12,
        batch_size=16,
        learning_rate=0.02,
        averaging=0.9,
        cracks=Cracks(share=0.5, until=1),
        arithmetic="float32",
    )
    training = Training(spec, recipe)
    *_, last = training.epochs(Split(noise, np.zeros(256, np.int64)))
    assert last.train_error < 10
    images = torch.from_numpy(noise).float()
    cracked = images * cracks(256, 33, seeded(1))[:, None]
    network = training.result.eval()
    assert (network(images).argmax(1) == 0).float().mean() > 0.9
    assert (network(cracked).argmax(1) == 1).float().mean() > 0.7


def test_the_error_is_that_of_what_is_seen_and_not_of_a_teacher():
    """Who learns from a teacher that calls everything intact errs where there is a crack."""
    images = np.full((64, 1, 33, 33), 150, np.uint8)
    spec = NetworkSpec(
        group="C4",
        size=33,
        classes=2,
        mean=0.6,
        deviation=0.1,
        layers=(Convolution(channels=2, kernel=5, stride=2, padding=2),),
    )
    recipe = Recipe(
        epochs=4,
        batch_size=16,
        learning_rate=0.1,
        cracks=Cracks(share=1, until=1),
        teaching=1,
        arithmetic="float32",
    )
    training = Training(spec, recipe, teacher=lambda x: torch.tensor([SURE]).expand(len(x), 2))
    _, second, *_ = training.epochs(Split(images, np.zeros(64, np.int64)))
    assert second.train_error == pytest.approx(75, abs=15)  # so many have one by then


def test_copies_that_a_teacher_is_asked_about_once_are_refused():
    with pytest.raises(ValueError, match="no views"):
        Recipe(epochs=1, cracks=Cracks(share=0.5), views=2)


def test_cracks_are_of_another_class_that_is_there():
    with pytest.raises(ValueError, match="another class"):
        Cracks(share=0.5, intact=1, cracked=1)
    spec = NetworkSpec(
        group="C4",
        size=5,
        classes=2,
        mean=0.5,
        deviation=0.1,
        layers=(Convolution(channels=2, kernel=3, padding=1),),
    )
    for cracks_of in (Cracks(share=0.5, intact=2), Cracks(share=0.5, cracked=2)):
        with pytest.raises(RefusedError, match="the 2 classes begin at 0"):
            Training(spec, Recipe(epochs=1, cracks=cracks_of))
