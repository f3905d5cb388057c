"""The study's measures see what they are there to see."""

import numpy as np
import pytest
import torch

from benchmarks.study.measures import guarantee, redundancy, rotated
from benchmarks.study.report import images_needed, write_report
from benchmarks.study.systems import AUGMENTED, SEPARABLE, SIZES, SYSTEMS, jobs
from models.datasets.split import Split
from models.networks import Network, free_parameters, multiply_adds


@pytest.fixture
def networks():
    torch.manual_seed(0)
    return {job.system.name: Network(job.network()) for job in jobs() if job.width == 1}


@pytest.fixture
def digits():
    y, x = np.mgrid[:28, :28] - 13.5
    angles = np.random.default_rng(0).uniform(0, 2 * np.pi, 12)
    waves = np.stack([np.sin((np.cos(t) * x + np.sin(t) * y) / 3) for t in angles])
    images = (127 + 100 * waves * (np.hypot(x, y) < 12)).astype(np.uint8)
    return Split(images[:, None], np.zeros(12, np.int64))


def test_networks_are_of_equal_size_and_the_separable_one_of_equal_cost(networks):
    sizes = [free_parameters(networks[system.name]) for system in SYSTEMS]
    assert max(sizes) < 1.05 * min(sizes)
    costs = [multiply_adds(networks[name]) for name in ("C4", SEPARABLE.name)]
    assert max(costs) < 1.05 * min(costs)


def test_every_job_is_another_one():
    keys = [job.key for job in jobs()]
    assert len(set(keys)) == len(keys) == 3 * (len(SYSTEMS) * len(SIZES) + 3)


def test_rotating_by_a_quarter_is_exact(digits):
    expected = np.rot90(digits.images, 1, (-2, -1))
    assert np.array_equal(rotated(digits.images, 90), expected)
    assert np.array_equal(rotated(digits.images, 0), digits.images)


def test_a_planted_copy_is_found_and_random_filters_are_none(networks):
    network = networks["plain CNN"]
    weight = network.body[0].weight
    torch.manual_seed(1)
    with torch.no_grad():
        weight.normal_()
        before = redundancy(network)
        weight[3] = torch.rot90(weight[0].reshape(1, 5, 5), 1, (-2, -1)).reshape(1, 25) * 2
    assert before == 0
    assert redundancy(network) == pytest.approx(100 * 2 / len(weight))


@pytest.mark.slow
def test_the_guarantee_is_seen_where_it_is_and_not_elsewhere(networks, digits):
    with torch.no_grad():  # labels that depend on the image as much as they can
        for name in ("C4", "plain CNN"):
            network = networks[name]
            network(torch.from_numpy(digits.images))
            network.head.bias.zero_()
    assert guarantee(networks["C4"].eval(), digits).agreement_quarters == 100
    plain = guarantee(networks["plain CNN"].eval(), digits)
    assert plain.agreement_quarters < 100
    assert plain.agreement_angles <= plain.agreement_quarters
    assert plain.worst_error >= plain.upright_error


def made_up():
    """Results in which the augmented CNN needs three times the images of the others."""
    for job in jobs():
        factor = 1 / 3 if job.system == AUGMENTED else 1
        yield {
            "system": job.system.name,
            "width": job.width,
            "images": job.images,
            "seed": job.seed,
            "free_parameters": 28_000,
            "multiply_adds": 10**6,
            "test_error": 1000 / (job.images * factor) ** 0.5,
            "redundancy": 0.0,
            "redundancy_untrained": 0.0,
            "upright_error": 1.0,
            "worst_error": 2.0,
            "agreement_quarters": 99.0,
            "agreement_angles": 98.0,
        }


def test_the_images_needed_are_read_off_the_curve(tmp_path):
    results = list(made_up())
    assert images_needed(results, 1000 / 1000**0.5) == pytest.approx(3000)
    assert images_needed(results, 1.0) is None
    write_report(results, tmp_path)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["capacity.svg", "guarantee.svg", "tables.md"]
    assert (
        "| 1,000 images | 31.62 % | 3,000, 3.0 times as many |"
        in (tmp_path / "tables.md").read_text()
    )
