"""Every angle of one image: against a search that knows nothing of intervals."""

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from audit import Classifier, ExhaustiveOutcome, ProvedSymmetry, audit_exhaustively
from audit.angles.selftest import with_orientation_bias
from audit.statistics import clopper_pearson
from audit.units import Units
from imaging import Resampler, inside_disc, keep_disc, nearest_intervals, rotate_images

SIZE = 12
Images = NDArray[np.uint8]


@pytest.fixture(scope="module")
def noise() -> Images:
    return np.random.default_rng(3).integers(0, 256, (4, 2, SIZE, SIZE), dtype=np.uint8)


def invariant(images: Images) -> NDArray[np.float32]:
    """How bright is it? A nearest-neighbour rotation moves the sum only a little."""
    total = images.sum(axis=(1, 2, 3)).astype(np.float32)
    return np.stack([total, np.full_like(total, 1e4)], axis=1)


def quarter_invariant(images: Images) -> NDArray[np.float32]:
    """Exactly the same under quarter turns, and not between them."""
    weights = np.random.default_rng(4).integers(-9, 10, (SIZE, SIZE))
    symmetric = sum(np.rot90(weights, quarter) for quarter in range(4))
    inside = inside_disc(SIZE)
    balanced = inside.sum() * symmetric - symmetric[inside].sum()
    total = (images.sum(axis=1, dtype=np.int64) * balanced).sum((1, 2))
    return np.stack([total, -total], axis=1).astype(np.float32)


def left_or_right(images: Images) -> NDArray[np.float32]:
    light = images.sum(axis=(1, 2), dtype=np.int64)
    halves = [light[:, : SIZE // 2].sum(1), light[:, SIZE // 2 :].sum(1)]
    return np.stack(halves, axis=1).astype(np.float32)


def exhaustive_angles(classify: Classifier, images: Images, **options: Any) -> ExhaustiveOutcome:
    return audit_exhaustively(classify, images, range(len(images)), **{"symmetry": None, **options})


def searched(classify: Classifier, image: Images, degrees: NDArray[np.float64]) -> NDArray[Any]:
    """The labels at some angles, by the resampler."""
    rotated = [
        keep_disc(rotate_images(image[None], float(a), Resampler("nearest")), 0) for a in degrees
    ]
    return classify(np.concatenate(rotated)).argmax(axis=1)


@pytest.mark.parametrize("classify", [quarter_invariant, left_or_right])
def test_a_search_at_many_angles_finds_what_the_intervals_say(
    classify: Classifier, noise: Images
) -> None:
    degrees = np.random.default_rng(1).uniform(0, 360, 600)
    flips = 0
    for found in exhaustive_angles(classify, noise).images:
        starts = [interval.start for interval in found.intervals]
        labels = np.array([interval.label for interval in found.intervals])
        stated = labels[np.searchsorted(starts, degrees, side="right") - 1]
        assert np.array_equal(stated, searched(classify, noise[found.index], degrees))
        flips += not found.constant
    assert flips


def test_intervals_cover_the_circle_and_add_up(noise: Images) -> None:
    for found in exhaustive_angles(left_or_right, noise).images:
        assert (found.intervals[0].start, found.intervals[-1].stop) == (0, 360)
        for one, other in zip(found.intervals, found.intervals[1:], strict=False):
            assert one.stop == other.start
            assert one.label != other.label
        kept = sum(
            interval.stop - interval.start
            for interval in found.intervals
            if interval.label == found.label
        )
        assert found.kept_degrees == pytest.approx(kept)
        assert found.constant == (len(found.intervals) == 1)
        assert (found.smallest_margin >= 0) == found.constant


def test_a_constant_label_is_said_to_be_constant(noise: Images) -> None:
    outcome = exhaustive_angles(invariant, noise)
    assert outcome.constant_images == 4
    assert all(found.kept_degrees == pytest.approx(360) for found in outcome.images)
    assert outcome.undecided_degrees == 0
    assert outcome.quarter_intervals == nearest_intervals(SIZE).count


def test_copies_count_once(noise: Images) -> None:
    twice = np.concatenate([noise, noise[:, :, ::-1, ::-1]])
    outcome = audit_exhaustively(
        invariant, twice, [1, 2, 5], symmetry=None, units=Units(np.array([0, 1, 2, 3] * 2))
    )
    assert outcome.constant_images == 3
    assert outcome.constant_interval == clopper_pearson(2, 2, 0.95)


def test_the_compass_is_found_out(noise: Images) -> None:
    """Each image is heavier below on one half of the circle and above on the other."""
    outcome = exhaustive_angles(with_orientation_bias(invariant), noise)
    assert outcome.constant_images == 0
    assert all(120 < found.kept_degrees < 240 for found in outcome.images)


def test_a_single_interval_is_found(noise: Images) -> None:
    """A model that answers otherwise for one image among all: no sampling would find it."""
    intervals = nearest_intervals(SIZE)
    narrow = int(np.diff(intervals.ends).argmin())
    middle = float(intervals.ends[narrow] + intervals.ends[narrow + 1]) / 2
    odd = keep_disc(rotate_images(noise[:1], middle + 180, Resampler("nearest")), 0)

    def haunted(images: Images) -> NDArray[np.float32]:
        same = (images == odd).all(axis=(1, 2, 3))
        return np.stack([np.where(same, 0, 1), np.where(same, 1, 0)], axis=1).astype(np.float32)

    (found,) = exhaustive_angles(haunted, noise[:1]).images
    assert not found.constant
    (interval,) = [interval for interval in found.intervals if interval.label != found.label]
    assert (interval.start, interval.stop) == pytest.approx(
        tuple(180 + intervals.ends[narrow : narrow + 2])
    )
    assert found.smallest_margin == -1
    assert found.at_degrees == interval.start


# --- by symmetry ------------------------------------------------------------------------------


def counted(classify: Classifier) -> tuple[Classifier, list[int]]:
    asked: list[int] = []

    def count(images: Images) -> NDArray[np.float32]:
        asked.append(len(images))
        return classify(images)

    return count, asked


def test_a_proved_symmetry_spares_three_quarters_and_changes_no_answer(noise: Images) -> None:
    whole, all_asked = counted(quarter_invariant)
    quarter, few_asked = counted(quarter_invariant)
    by_force = exhaustive_angles(whole, noise)
    by_proof = exhaustive_angles(quarter, noise, symmetry=ProvedSymmetry(rounding=0.0))
    assert 4 * sum(few_asked) == sum(all_asked)
    for one, other in zip(by_force.images, by_proof.images, strict=True):
        assert one.intervals == other.intervals
        assert one.smallest_margin == other.smallest_margin
    assert any("file is proved" in sentence for sentence in by_proof.claim)
    assert not any("file is proved" in sentence for sentence in by_force.claim)


def test_where_rounding_could_matter_every_angle_is_asked(noise: Images) -> None:
    margins = [
        abs(found.smallest_margin) for found in exhaustive_angles(quarter_invariant, noise).images
    ]
    near, asked = counted(quarter_invariant)
    outcome = exhaustive_angles(near, noise, symmetry=ProvedSymmetry(rounding=max(margins)))
    assert sum(asked) > 4 * nearest_intervals(SIZE).count
    everything, all_asked = counted(quarter_invariant)
    exhaustive_angles(everything, noise, symmetry=ProvedSymmetry(rounding=1e9))
    assert sum(all_asked) == 4 * 4 * nearest_intervals(SIZE).count
    assert any("but for rounding" in sentence for sentence in outcome.claim)


def test_equal_images_are_asked_about_once() -> None:
    image = np.zeros((1, 1, SIZE, SIZE), np.uint8)
    image[0, 0, 5, 9] = 255
    classify, asked = counted(left_or_right)
    (found,) = exhaustive_angles(classify, image).images
    assert found.distinct_images == sum(asked) < nearest_intervals(SIZE).count
    degrees = np.random.default_rng(1).uniform(0, 360, 500)
    labels = np.array([interval.label for interval in found.intervals])
    starts = [interval.start for interval in found.intervals]
    stated = labels[np.searchsorted(starts, degrees, side="right") - 1]
    assert np.array_equal(stated, searched(left_or_right, image[0], degrees))


def test_progress_ends_where_it_says(noise: Images) -> None:
    seen: list[tuple[int, int]] = []
    exhaustive_angles(invariant, noise, progress=lambda done, total: seen.append((done, total)))
    assert seen[-1][0] == seen[-1][1] == 4 * nearest_intervals(SIZE).count


@pytest.mark.parametrize("images", [np.zeros((1, 1, 4, 5), np.uint8)])
def test_what_cannot_be_rotated_is_refused(images: Images) -> None:
    with pytest.raises(ValueError, match="square images are accepted"):
        exhaustive_angles(invariant, images)
    with pytest.raises(ValueError, match="one or more"):
        audit_exhaustively(invariant, images[..., :4], [], symmetry=None)
