import numpy as np
import torch

from models.augmentation import Augmentation, augment, enlarge


def digits(count=4, size=28):
    rows = torch.linspace(0, 6, size)
    pattern = 127 + 80 * torch.sin(rows)[:, None] * torch.cos(1.3 * rows)[None]
    return pattern.round().to(torch.uint8).expand(count, 1, size, size)


def test_no_augmentation_changes_nothing():
    images = digits()
    same = augment(enlarge(images), Augmentation(), torch.Generator().manual_seed(0))
    assert torch.equal(same.round().to(torch.uint8), images)


def test_equal_seeds_draw_equal_images_and_other_seeds_others():
    enlarged, ranges = enlarge(digits()), Augmentation(degrees=180, scale=0.1, shift=0.1)
    draws = [augment(enlarged, ranges, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2)]
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_each_image_of_a_batch_gets_an_angle_of_its_own():
    batch = augment(enlarge(digits(8)), Augmentation(degrees=180), torch.Generator().manual_seed(0))
    assert len({image.numpy().tobytes() for image in batch}) == 8


def test_a_shift_moves_by_the_stated_part_of_the_side():
    image = torch.zeros(200, 1, 28, 28, dtype=torch.uint8)
    image[:, :, 13:15, 13:15] = 255
    ranges = Augmentation(shift=0.25)
    moved = augment(enlarge(image), ranges, torch.Generator().manual_seed(0)).numpy()[:, 0]
    columns = (moved.sum(1) * np.arange(28)).sum(1) / moved.sum((1, 2))
    assert np.abs(columns - 13.5).max() <= 7 + 0.1
    assert np.abs(columns - 13.5).max() > 6
