import numpy as np
import pytest
import torch

from models.augmentation import LARGEST_ENLARGED, Augmentation, TrainingImages

# Small images are enlarged in advance, large ones are not.
both_ways = pytest.mark.parametrize("size", [28, LARGEST_ENLARGED + 1])


def digits(count=4, size=28):
    rows = torch.linspace(0, 6, size)
    pattern = 127 + 80 * torch.sin(rows)[:, None] * torch.cos(1.3 * rows)[None]
    return pattern.round().to(torch.uint8).expand(count, 1, size, size)


def augmented(images, seed=0, **ranges):
    random = torch.Generator().manual_seed(seed)
    return TrainingImages(images).augmented(
        torch.arange(len(images)), Augmentation(**ranges), random
    )


@both_ways
def test_no_augmentation_changes_nothing(size):
    images = digits(size=size)
    assert torch.equal(augmented(images).round().to(torch.uint8), images)


@both_ways
def test_equal_seeds_draw_equal_images_and_other_seeds_others(size):
    ranges = {"degrees": 180, "scale": 0.1, "shift": 0.1, "exposure": 0.1}
    draws = [augmented(digits(size=size), seed, **ranges) for seed in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


@both_ways
def test_each_image_of_a_batch_gets_an_angle_of_its_own(size):
    batch = augmented(digits(8, size), degrees=180)
    assert len({image.numpy().tobytes() for image in batch}) == 8


@both_ways
def test_a_shift_moves_by_the_stated_part_of_the_side(size):
    image = torch.zeros(200, 1, size, size, dtype=torch.uint8)
    middle = (size - 1) / 2
    image[:, :, int(middle) - 1 : int(middle) + 3, int(middle) - 1 : int(middle) + 3] = 255
    start = int(middle) + 0.5
    moved = augmented(image, shift=0.25).numpy()[:, 0]
    columns = (moved.sum(1) * np.arange(size)).sum(1) / moved.sum((1, 2))
    assert np.abs(columns - start).max() <= size / 4 + 0.1
    assert np.abs(columns - start).max() > size / 4 * 0.9


def test_an_exposure_changes_all_levels_of_an_image_by_one_factor():
    image = torch.full((300, 1, 8, 8), 100, dtype=torch.uint8)
    levels = augmented(image, exposure=0.2)
    assert torch.equal(levels, levels[:, :, :1, :1].expand_as(levels))
    assert 80 <= levels.min() < 83 < 117 < levels.max() <= 120


@both_ways
def test_levels_stay_within_their_range(size):
    checks = (torch.arange(size)[:, None] // 4 + torch.arange(size) // 4) % 2 * 255
    images = checks.to(torch.uint8).expand(8, 1, size, size)
    levels = augmented(images, degrees=180, exposure=0.5)
    assert levels.min() >= 0
    assert levels.max() <= 255


def test_large_images_are_not_kept_nine_times_over():
    images = torch.zeros(2, 1, 200, 200, dtype=torch.uint8)
    kept = [value for value in vars(TrainingImages(images)).values() if torch.is_tensor(value)]
    assert sum(value.numel() for value in kept) == images.numel()
