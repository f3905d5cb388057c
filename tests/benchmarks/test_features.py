"""The measures of the third claim see copies and equivariance where they are, and only there."""

import numpy as np
import pytest
import torch

from benchmarks.features import figures, reading
from benchmarks.features.figures import layer_figures
from benchmarks.features.kinds import C4, KINDS, UNTRAINED, kind_jobs, kind_name, untrained
from benchmarks.features.maps import disc, rotate_maps
from benchmarks.features.measures import (
    best_matches,
    effective_rank,
    explained,
    independent_matches,
    participation_ratio,
    regrouped_means,
    unit_similarity,
)
from benchmarks.features.moments import moments
from benchmarks.features.reading import AS_IT_IS, TARGETS, LayerMoments, Target, read_layers
from benchmarks.features.report import read_layer, what_augmentation_does, write_report
from benchmarks.study.systems import AUGMENTED
from imaging import FitPolicy
from models.datasets.data_set import DataSet
from models.datasets.split import Split
from models.networks import Convolution, MaxPooling, Network, NetworkSpec, free_parameters

ROUNDS = 200


@pytest.fixture(scope="module")
def images():
    """Smooth random images: their pixels and their rotations are no functions of each other."""
    random = np.random.default_rng(0)
    waves = np.fft.irfft2(random.normal(size=(60, 12, 7)) / (1 + np.hypot(*np.mgrid[:12, :7])))
    return (128 + 100 * waves / np.abs(waves).max()).astype(np.uint8)[:, None]


def networks(group: str, channels: int) -> list[Network]:
    layers = (
        Convolution(channels=channels, kernel=5),
        MaxPooling(kernel=2, stride=2),
        Convolution(channels=channels, kernel=3, padding=1),
    )
    spec = NetworkSpec(group=group, size=12, classes=2, mean=0.5, deviation=0.1, layers=layers)
    return [Network(spec).eval() for seed in range(3) if torch.manual_seed(seed)]


@pytest.fixture(scope="module")
def equivariant(images):
    return read_layers(networks("C4", 3), images)


@pytest.fixture(scope="module")
def plain(images):
    return read_layers(networks("trivial", 12), images)


@pytest.fixture(scope="module")
def by_channel(equivariant):
    return [layer_figures(layer, 1, ROUNDS) for layer in equivariant]


@pytest.fixture(scope="module")
def by_orbit(equivariant):
    return [layer_figures(layer, 4, ROUNDS) for layer in equivariant]


def test_an_equivariant_network_explains_its_rotated_maps_and_a_plain_one_does_not(by_orbit, plain):
    for layer in by_orbit:
        assert layer["r2_quarters"] == pytest.approx([1, 1, 1], abs=2e-3)
    for layer in plain:
        assert explained(*layer.pair(0, Target(90), 0)) < 0.95


def test_the_channels_of_an_orbit_are_copies(by_channel):
    for layer in by_channel:
        found = layer["matches"]["rotated_quarters"]
        assert found["mean"] == pytest.approx([1, 1, 1], abs=1e-5)
        assert found["copies_percent"] == [100, 100, 100]
        assert found["part_of_regrouped_above"] == 1 / (1 + ROUNDS)
        assert found["null_copies_percent"] < 50


def test_orbits_are_not_copies_of_one_another(by_orbit):
    for layer in by_orbit:
        found = layer["matches"]["rotated_quarters"]
        assert max(found["mean"]) < 0.95
        assert 0.01 < found["part_of_regrouped_above"] < 0.99


def test_without_rotating_back_neither_is_found(images, monkeypatch):
    monkeypatch.setattr("benchmarks.features.maps.rotate_maps", lambda x, degrees: x)
    layer = layer_figures(read_layers(networks("C4", 3), images)[0], 1, ROUNDS)
    assert max(layer["r2_quarters"]) < 0.9
    assert max(layer["matches"]["rotated_quarters"]["copies_percent"]) < 100


def independent(channels: int = 8) -> LayerMoments:
    """A layer whose channels have nothing to do with one another, nor with their rotations."""
    random = torch.Generator().manual_seed(0)

    def half():
        x = torch.randn(2000, 3 * channels, generator=random)
        return moments(x, torch.randn(2000, 3 * channels * len(TARGETS), generator=random))

    return LayerMoments(3, half(), half())


def test_independent_channels_show_the_null():
    found = layer_figures(independent(), 1, ROUNDS)
    assert found["r2_quarters"] == pytest.approx([0, 0, 0], abs=0.02)
    assert found["effective_rank"] == pytest.approx([8, 8, 8], rel=0.01)
    for matches in found["matches"].values():
        assert 0.01 < matches["part_of_regrouped_above"] < 0.99
        assert matches["mean"] == pytest.approx([matches["null_mean"]] * 3, abs=0.02)


def test_without_a_null_copies_are_not_told_from_independent_channels(monkeypatch, by_channel):
    def unmoved(similarity, labels, rounds):
        return np.full(rounds, best_matches(similarity, labels).mean())

    independent_layer = independent(12)
    before = layer_figures(independent_layer, 1, ROUNDS)
    assert read_layer(by_channel[0], before) == "copies"
    assert read_layer(before, before) == "as independent"
    monkeypatch.setattr(figures, "regrouped_means", unmoved)
    mutant = layer_figures(independent_layer, 1, ROUNDS)["matches"]["rotated_quarters"]
    assert mutant["part_of_regrouped_above"] == 1


def test_the_best_of_some_drawn_from_other_networks_is_as_drawing_says():
    random = np.random.default_rng(0)
    labels, similarity = np.repeat([0, 1, 2], 4), random.random((12, 12))
    drawn = []
    for unit in range(12):
        others = similarity[unit, labels != labels[unit]]
        drawn.append([random.choice(others, 3, replace=False).max() for _ in range(500)])
    mean, copies = independent_matches(similarity, labels)
    assert mean == pytest.approx(np.mean(drawn), abs=0.015)
    assert copies == pytest.approx(np.mean(np.array(drawn) > 0.9), abs=0.015)


def test_channels_that_avoid_each_other_are_diverse():
    labels = np.repeat([0, 1, 2], 4)
    across = (labels[:, None] != labels).astype(float)
    assert best_matches(across, labels).mean() == 0
    assert independent_matches(across, labels) == pytest.approx((1, 1))
    assert regrouped_means(across, labels, ROUNDS).min() > 0.5

    def layer(mean, above):
        main = {"mean": [mean] * 3, "null_mean": 0.5, "part_of_regrouped_above": above}
        return {"matches": {"rotated_quarters": main}}

    assert read_layer(layer(0.3, 1.0), layer(0.5, 0.5)) == "diverse"
    assert read_layer(layer(0.7, 0.001), layer(0.5, 0.5)) == "copies"
    assert read_layer(layer(0.7, 0.001), layer(0.8, 0.001)) == "as independent"


def test_a_unit_matches_by_its_best_channel():
    matrix = np.zeros((4, 4))
    matrix[1, 2] = 0.8
    assert unit_similarity([matrix, -matrix], 2).tolist() == [[0, 0.8], [0, 0]]


def test_linear_functions_are_fitted_on_one_half_and_asked_on_the_other():
    random = torch.Generator().manual_seed(0)
    x = torch.randn(4000, 3, generator=random)
    noise = torch.randn(4000, 2, generator=random)
    y = torch.stack([2 * x[:, 0] - x[:, 1] + 5, x[:, 2]], 1) + noise * torch.tensor([0.0, 1.0])
    first, second = moments(x[:2000], y[:2000]), moments(x[2000:], y[2000:])
    assert explained(first, second) == pytest.approx(0.75, abs=0.03)
    # A function of few samples and many predictors explains them, and not the others.
    wide = torch.randn(120, 50, generator=random)
    target = torch.randn(120, 1, generator=random)
    few, others = moments(wide[:60], target[:60]), moments(wide[60:], target[60:])
    assert explained(few, few) > 0.5
    assert explained(few, others) < 0


def test_moments_of_parts_add_up():
    x, y = torch.randn(30, 3) + 4, torch.randn(30, 2)
    together, whole = moments(x[:10], y[:10]) + moments(x[10:], y[10:]), moments(x, y)
    for name in ("x_mean", "y_mean", "xx", "xy", "y_variance"):
        assert getattr(together, name) == pytest.approx(getattr(whole, name), abs=1e-5)


def test_ranks_count_directions_whatever_their_scale():
    channels = np.diag([1.0, 4.0, 9.0])
    assert effective_rank(channels) == pytest.approx(3)
    assert participation_ratio(channels) == pytest.approx(3)
    same = np.full((3, 3), 2.0)
    assert effective_rank(same) == pytest.approx(1)
    assert participation_ratio(same) == pytest.approx(1)
    assert effective_rank(np.diag([1.0, 1.0, 0.0])) == pytest.approx(2)


def test_maps_are_rotated_about_their_centre():
    x = torch.randn(2, 3, 6, 6)
    assert torch.equal(rotate_maps(x, -90), torch.rot90(x, -1, (-2, -1)))
    y, across = torch.meshgrid(torch.arange(9.0) - 4, torch.arange(9.0) - 4, indexing="ij")
    slope = rotate_maps(across[None, None], 45)[0, 0]  # its gradient points right, then up
    inner = disc(9) & (torch.hypot(y, across) < 3)
    assert torch.allclose(slope[inner], ((across - y) / 2**0.5)[inner], atol=0.05)


def test_what_is_read_is_what_it_is_called(plain, images):
    layer = plain[0]
    own = layer.pair(0, AS_IT_IS, 0)[0]
    assert np.allclose(own.xx, own.xy, atol=1e-5)
    resampled = explained(*layer.pair(0, reading.RESAMPLED, 0))
    rotated = explained(*layer.pair(0, Target(90), 0))
    assert explained(*layer.pair(0, reading.OTHER_IMAGE, 0)) < rotated < resampled < 1


def test_kinds_are_told_apart_and_all_but_the_wide_one_are_of_equal_size():
    assert len({kind_name(*kind) for kind in KINDS}) == len(KINDS)
    sizes = {kind: free_parameters(Network(kind_jobs(*kind)[0].network())) for kind in KINDS}
    wide = sizes.pop((AUGMENTED, 4))
    assert max(sizes.values()) < 1.05 * min(sizes.values()) < wide
    before = {sizes.get(kind, wide) for kind in UNTRAINED}
    assert before == {wide, *sizes.values()}  # each has its untrained counterpart


def test_an_untrained_network_is_normalised_by_images_and_the_same_for_a_seed():
    split = Split(
        np.random.default_rng(0).integers(0, 255, (20, 1, 28, 28), np.uint8), np.zeros(20)
    )
    data = DataSet("", (), "", "", FitPolicy(28), split, split)
    first, again, other = (untrained(kind_jobs(C4, 1)[i], data) for i in (0, 0, 1))
    x = torch.from_numpy(split.images)
    with torch.no_grad():
        assert torch.equal(first(x), again(x))
        assert not torch.equal(first(x), other(x))
        y = first.body[1](first.body[0](first.normalise(x)))
    assert torch.allclose(y.mean((0, 2, 3, 4)), torch.zeros(6), atol=1e-3)


def kind_line(kind: str, values: float) -> dict[str, object]:
    layer = {"r2_quarters": [values] * 3, "effective_rank": [10 * values] * 3}
    return {"kind": kind, "trained": True, "layers": [layer]}


def test_augmentation_is_held_against_the_network_that_began_the_same():
    lines = [kind_line("plain CNN", 0.5), kind_line("plain CNN, augmented", 0.75)]
    rows = list(what_augmentation_does(lines))
    assert rows[-2:] == [
        "| R², quarters | 0.25 [0.25, 0.25] |",
        "| effective rank | 2.50 [2.50, 2.50] |",
    ]
    assert list(what_augmentation_does(lines[:1])) == []


def test_a_report_is_written_of_what_has_been_measured(by_orbit, tmp_path):
    lines = [
        {
            "kind": "C4",
            "trained": trained,
            "free_parameters": 1000,
            "multiply_adds": 10**6,
            "errors": [1.0, 2.0, 3.0],
            "layers": [{"free_parameters": 75} | layer for layer in by_orbit],
        }
        for trained in (True, False)
    ]
    write_report(lines, tmp_path)
    text = (tmp_path / "tables.md").read_text()
    assert "| C4 | 1,000 | 1,000,000 | 2.00 [1.00, 3.00] |" in text
    assert "| C4 | 1.00 [1.00, 1.00] | 1.00 [1.00, 1.00] |" in text
    assert "| C4 | as independent | as independent |" in text
    assert (tmp_path / "features.svg").read_text().startswith("<?xml")
