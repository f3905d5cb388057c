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
    ranges |= {"shear": 0.1, "elastic": 0.5}
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


def moments(images):
    """Return the principal second moments of each image about its centre of mass, ascending."""
    weights = images[:, 0].double().numpy()
    weights = weights / weights.sum((1, 2), keepdims=True)
    y, x = np.mgrid[: weights.shape[1], : weights.shape[2]]
    y, x = (axis - (weights * axis).sum((1, 2))[:, None, None] for axis in (y, x))
    table = [[(weights * a * b).sum((1, 2)) for b in (y, x)] for a in (y, x)]
    return np.sqrt(np.linalg.eigvalsh(np.moveaxis(np.array(table), -1, 0)))


def disc(count, size=28):
    y, x = torch.meshgrid(torch.arange(size), torch.arange(size), indexing="ij")
    inside = (y - 13.5) ** 2 + (x - 13.5) ** 2 <= 64
    return (255 * inside).to(torch.uint8).expand(count, 1, size, size)


def test_a_shear_stretches_one_axis_and_compresses_the_other():
    short, long = moments(augmented(disc(400), shear=0.2)).T / moments(disc(1))[0, 0]
    assert long.max() == pytest.approx(1 / (1 - 0.2), rel=0.03)
    assert short.min() == pytest.approx(1 / (1 + 0.2), rel=0.03)
    np.testing.assert_allclose(1 / short + 1 / long, 2, rtol=0.02)


@pytest.mark.slow
def test_a_deformation_displaces_by_the_stated_deviation():
    """A ramp says where each pixel comes from; the middle one is a point that is drawn."""
    ramp = 8 * torch.arange(29).expand(2000, 1, 29, 29)
    for pattern in (ramp, ramp.transpose(2, 3)):
        middle = augmented(pattern.to(torch.uint8), elastic=0.8)[:, 0, 14, 14] / 8 - 14
        assert middle.mean().item() == pytest.approx(0, abs=0.1)
        assert middle.std().item() == pytest.approx(0.8, rel=0.1)


def test_a_deformation_is_smooth():
    """Neighbouring pixels go nearly the same way: a thin line stays in one piece."""
    image = torch.zeros(100, 1, 28, 28, dtype=torch.uint8)
    image[..., 13:15] = 255
    lines = augmented(image, elastic=0.8)[:, 0, 4:24]
    columns = (lines * torch.arange(28)).sum(-1) / lines.sum(-1)
    assert (columns.diff(dim=1).abs() < 1).all()
    assert columns.std(dim=1).mean() > 0.3


@both_ways
def test_the_symmetries_of_the_square_are_drawn_alike_and_change_no_grey_level(size):
    image = torch.arange(size * size).reshape(1, 1, size, size) % 251
    images = image.to(torch.uint8).expand(400, 1, size, size)
    drawn = augmented(images, dihedral=True).round().to(torch.uint8)
    turned = [torch.rot90(image[0], k, (1, 2)).to(torch.uint8) for k in range(4)]
    each = turned + [one.flip(2) for one in turned]
    counts = [sum(torch.equal(one, other) for one in drawn) for other in each]
    assert sum(counts) == 400
    assert min(counts) > 25
