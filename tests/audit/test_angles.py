"""The audit at sampled angles, and the traps that it must not fall into."""

import base64
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

import audit.angles.answers as answers_module
import audit.angles.selftest as selftest_module
import imaging.resample as resample_module
from audit import AngleOutcome, AnglePlan, AngleThresholds, Classifier, audit_angles
from audit.angles.answers import ask_at_angles
from audit.angles.selftest import self_test_angles, with_orientation_bias
from imaging import Resampler, damp, inside_disc, png, rotate_images

SIZE = 16
Images = NDArray[np.uint8]


@pytest.fixture(scope="module")
def blobs() -> Images:
    """128 smooth pictures: a bright spot off the centre, of some width, at some angle."""
    random = np.random.default_rng(5)
    places = np.arange(SIZE) - (SIZE - 1) / 2
    x, y = np.meshgrid(places, -places)
    angle, radius = random.uniform(0, 2 * np.pi, 128), random.choice([1.5, 4.0], 128)
    distance = (x - (radius * np.cos(angle))[:, None, None]) ** 2 + (
        y - (radius * np.sin(angle))[:, None, None]
    ) ** 2
    return np.rint(255 * np.exp(-distance / 4)).astype(np.uint8)[:, None]


def rings(images: Images) -> NDArray[np.float32]:
    """Near or far from the centre? The same at every angle, but for the resampler."""
    places = np.arange(SIZE) - (SIZE - 1) / 2
    radius = np.hypot(*np.meshgrid(places, places))
    light = images.sum(axis=(1, 2, 3)) + 1
    mean = np.einsum("nchw,hw->n", images, radius) / light
    return np.stack([3 - mean, mean - 3], axis=1).astype(np.float32)


def right_half(images: Images) -> NDArray[np.float32]:
    """Is it brighter on the right? A rotation by 180 degrees changes every answer."""
    left, right = images[..., : SIZE // 2].sum((1, 2, 3)), images[..., SIZE // 2 :].sum((1, 2, 3))
    return np.stack([left, right], axis=1).astype(np.float32) / 1000


def run(classify: Classifier, images: Images, **options: Any) -> AngleOutcome:
    plan = options.pop("plan", AnglePlan(12))
    labels = options.pop("labels", None)
    thresholds = AngleThresholds(**{"class_agreement": None, **options})
    return audit_angles(classify, images, labels, plan=plan, thresholds=thresholds)


# --- verdicts ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "seed"), [("nearest", None), ("bilinear", 3), ("bicubic", None)]
)
def test_what_is_invariant_passes_and_what_is_not_fails(
    blobs: Images, method: Any, seed: int | None
) -> None:
    plan = AnglePlan(12, Resampler(method), seed)
    passed = run(rings, blobs, plan=plan)
    assert passed.verdict == "PASS", passed.reasons
    assert passed.figures.agreeing_images == 128
    assert passed.self_test is not None
    assert passed.self_test.passed
    failed = run(right_half, blobs, plan=plan)
    assert failed.verdict == "FAIL", failed.reasons
    assert failed.figures.agreeing_images == 0
    assert failed.figures.control_agreeing > 120
    assert failed.figures.rotated_only > 120


def test_images_of_one_colour_show_nothing(blobs: Images) -> None:
    grey = np.tile(np.arange(256, dtype=np.uint8)[:, None, None, None], (1, 1, SIZE, SIZE))
    assert run(rings, blobs).verdict == "PASS"
    # The self-test looks at every 17th image, so that it is content.
    outcome = run(rings, np.insert(grey, np.arange(0, 256, 16), blobs[:16], axis=0))
    assert outcome.figures.agreement_interval.low > 0.95
    assert outcome.verdict == "INCONCLUSIVE"
    assert outcome.reasons[-1].startswith("At the sampled angles: 256 of 272 images are the same")


def test_stripes_show_nothing_of_the_half_turn(blobs: Images) -> None:
    random = np.random.default_rng(0).integers(0, 256, (256, 1, SIZE, SIZE), np.uint8)
    stripes = np.maximum(random, np.rot90(random, 2, (2, 3)))
    outcome = run(rings, np.insert(stripes, np.arange(0, 256, 16), blobs[:16], axis=0))
    assert outcome.figures.agreement_interval.low > 0.95
    assert outcome.verdict == "INCONCLUSIVE"
    assert outcome.reasons[-1].startswith("At the sampled angles: 256 of 272 images are the same")


def test_few_images_are_told_how_many_would_do(blobs: Images) -> None:
    outcome = run(rings, blobs[:60])
    assert outcome.verdict == "INCONCLUSIVE"
    assert "72 images settle it in 9 of 10 audits" in outcome.reasons[0]
    assert run(rings, blobs[:72]).verdict == "PASS"


def test_the_resampler_is_told_from_the_model() -> None:
    """Single bright pixels: any interpolation spreads them, rotated back or not."""
    images = np.zeros((128, 1, SIZE, SIZE), np.uint8)
    random = np.random.default_rng(0)
    images[np.arange(128), 0, random.integers(5, 11, 128), random.integers(5, 11, 128)] = 255

    def sharp(images: Images) -> NDArray[np.float32]:
        brightest = images.max(axis=(1, 2, 3)).astype(np.float32)
        return np.stack([brightest, np.full_like(brightest, 254.5)], axis=1)

    outcome = run(sharp, images)
    assert outcome.figures.agreement_interval.high < 0.95
    assert outcome.figures.control_agreeing < 64
    assert outcome.figures.damped_agreeing == 0
    assert outcome.verdict == "INCONCLUSIVE"


def test_the_rotation_is_told_from_the_loss_of_detail(blobs: Images) -> None:
    """What minds the rotation alone keeps its answers when images are damped and not rotated."""
    figures = run(right_half, blobs).figures
    assert figures.damped_agreeing is not None
    assert figures.damped_agreeing > 120
    assert figures.damped_interval is not None
    assert figures.damped_interval.low <= figures.damped_agreeing / 128
    for point in figures.curve:
        damped = damp(blobs, point.degrees, Resampler())
        logits = right_half(np.where(inside_disc(SIZE), damped, 0).astype(np.uint8))
        upright = right_half(np.where(inside_disc(SIZE), blobs, 0).astype(np.uint8))
        assert point.damped_agreement == (logits.argmax(1) == upright.argmax(1)).mean()
        assert point.damped_deviation == pytest.approx(np.abs(logits - upright).max(1).mean(), 1e-6)


def test_the_nearest_pixel_has_no_such_control(blobs: Images) -> None:
    figures = run(right_half, blobs, plan=AnglePlan(12, Resampler("nearest"))).figures
    assert figures.damped_agreeing is None
    assert all(point.damped_agreement is None for point in figures.curve)


def test_a_class_constant_model_is_not_praised(blobs: Images) -> None:
    outcome = run(lambda images: np.tile(np.float32([0, 7, 1]), (len(images), 1)), blobs)
    assert outcome.verdict == "INCONCLUSIVE"
    assert outcome.figures.agreeing_images == 128
    assert outcome.figures.label_entropy == 0
    assert any("same label" in reason for reason in outcome.reasons)


# --- figures ----------------------------------------------------------------------------------


def test_the_curve_shows_where_answers_change(blobs: Images) -> None:
    """A spot on the axis to the right leaves the right half at 90 degrees, counterclockwise."""
    spot = blobs[:1].copy()
    places = np.arange(SIZE) - (SIZE - 1) / 2
    x, y = np.meshgrid(places, -places)
    spot[0, 0] = np.rint(255 * np.exp(-((x - 4 * np.cos(0.3)) ** 2 + (y - 4 * np.sin(0.3)) ** 2)))
    points = run(right_half, spot, plan=AnglePlan(36)).figures.curve
    changed = {point.degrees for point in points if not point.agreement}
    expected = {10.0 * k for k in range(36) if np.cos(0.3 + np.deg2rad(10 * k)) < 0}
    assert changed == expected
    assert all((point.median_margin < 0) == (point.degrees in changed) for point in points)


def test_the_figures_are_those_of_the_answers(blobs: Images) -> None:
    labels = np.arange(128) % 2
    figures = run(right_half, blobs, labels=labels).figures
    upright = right_half(np.where(inside_disc(SIZE), blobs, 0).astype(np.uint8))
    assert figures.accuracy == (upright.argmax(1) == labels).mean()
    for point in figures.curve:
        rotated = np.where(inside_disc(SIZE), rotate_images(blobs, point.degrees, Resampler()), 0)
        logits = right_half(rotated.astype(np.uint8))
        assert point.agreement == (logits.argmax(1) == upright.argmax(1)).mean()
        assert point.accuracy == (logits.argmax(1) == labels).mean()
        kept = logits.argmax(1) == upright.argmax(1)
        for curve in figures.class_curves:
            at = figures.curve.index(point)
            assert curve.agreeing[at] == kept[labels == curve.label].sum()
        assert point.mean_deviation == pytest.approx(np.abs(logits - upright).max(1).mean(), 1e-6)
        assert point.band.low <= point.agreement <= point.band.high
        assert point.deviation_low <= point.mean_deviation <= point.deviation_high
    assert [cell.label for cell in figures.classes] == [0, 1]
    assert sum(cell.images for cell in figures.classes) == 128
    assert all(cell.below for cell in figures.classes)
    for curve, cell in zip(figures.class_curves, figures.classes, strict=True):
        assert (curve.label, curve.images) == (cell.label, cell.images)
        assert len(curve.agreeing) == 12
    moved = figures.deviations.bins[-1]
    farthest = max(point.mean_deviation for point in figures.curve) / figures.largest_logit
    assert farthest <= moved.high
    assert figures.control_deviations.median < figures.deviations.median


@pytest.mark.slow
def test_the_worst_angle_of_each_image_is_one_that_can_be_seen(blobs: Images) -> None:
    outcome = run(right_half, blobs, plan=AnglePlan(24, seed=1))
    worst = outcome.figures.worst
    assert sorted(w.index for w in worst) == list(range(128))
    assert [w.margin for w in worst] == sorted(w.margin for w in worst)
    assert len(outcome.counterexamples) == 10
    for w, seen in zip(worst[:10], outcome.counterexamples, strict=True):
        upright = np.where(inside_disc(SIZE), blobs[w.index : w.index + 1], 0).astype(np.uint8)
        rotated = rotate_images(blobs[w.index : w.index + 1], w.degrees, Resampler())
        rotated = np.where(inside_disc(SIZE), rotated, 0).astype(np.uint8)
        logits = right_half(rotated)[0]
        assert np.array_equal(logits, np.float32(seen.rotated_logits))
        assert np.array_equal(right_half(upright)[0], np.float32(seen.upright_logits))
        assert seen.upright_png == base64.b64encode(png(upright[0])).decode()
        assert seen.rotated_png == base64.b64encode(png(rotated[0])).decode()
        assert logits.argmax() == w.rotated_label
        assert logits[w.label] - logits[1 - w.label] == pytest.approx(w.margin)


def test_both_images_are_seen_through_the_same_disc(blobs: Images) -> None:
    """What lies in the corners, a pixel off the disc, can neither help nor harm."""
    corners = blobs.copy()
    rim = np.pad(inside_disc(SIZE), 1)
    near = rim[2:, 1:-1] | rim[:-2, 1:-1] | rim[1:-1, 2:] | rim[1:-1, :-2] | inside_disc(SIZE)
    corners[..., ~near] = 200
    plain, cornered = run(right_half, blobs), run(right_half, corners)
    assert cornered.figures.agreeing_images == plain.figures.agreeing_images
    for one, other in zip(cornered.figures.curve, plain.figures.curve, strict=True):
        assert one.agreement == other.agreement
        assert one.mean_deviation == other.mean_deviation
        assert one.median_margin == other.median_margin
    assert plain.figures.disc_changed == 0


@pytest.mark.slow
def test_equal_questions_get_equal_json(blobs: Images) -> None:
    plan = AnglePlan(12, seed=7)
    first, second = (run(rings, blobs, plan=plan).model_dump_json() for _ in range(2))
    assert first == second
    assert AngleOutcome.model_validate_json(first).model_dump_json() == first
    assert run(rings, blobs, plan=AnglePlan(12, seed=8)).model_dump_json() != first


def test_the_longest_interval_that_is_missed_is_stated(blobs: Images) -> None:
    outcome = run(rings, blobs[:8], plan=AnglePlan(36))
    assert outcome.sampling.longest_missed_interval == 10
    assert any("less than 10 degrees" in sentence for sentence in outcome.claim)


@pytest.mark.parametrize("count", [0, 1, 4, 7, 3601])
def test_angles_that_say_nothing_new_are_refused(count: int) -> None:
    with pytest.raises(ValueError, match="8 to 3600 are accepted"):
        AnglePlan(count)


# --- the angles -------------------------------------------------------------------------------


def measured(images: Images) -> NDArray[np.float32]:
    """Where a bright spot is, as the cosine and the sine of its angle."""
    places = np.arange(SIZE) - (SIZE - 1) / 2
    x, y = np.meshgrid(places, -places)
    centre = np.stack([np.einsum("nchw,hw->n", images, axis) for axis in (x, y)], axis=1)
    return (centre / np.linalg.norm(centre, axis=1, keepdims=True)).astype(np.float32)


def angles_seen(images: Images, plan: AnglePlan) -> NDArray[np.float64]:
    """How far each image was really rotated, in degrees [A, N]."""
    answers = ask_at_angles(measured, images, plan)
    position = np.rad2deg(np.arctan2(answers.rotated[..., 1], answers.rotated[..., 0]))
    upright = np.rad2deg(np.arctan2(answers.upright[:, 1], answers.upright[:, 0]))
    return (position - upright) % 360


def off_by(seen: NDArray[np.float64], stated: NDArray[np.float64]) -> float:
    return float(np.abs((seen - stated + 180) % 360 - 180).max())


@pytest.mark.parametrize("seed", [None, 3])
def test_images_are_rotated_by_the_angles_that_are_stated(blobs: Images, seed: int | None) -> None:
    plan = AnglePlan(24, seed=seed)
    assert off_by(angles_seen(blobs, plan), plan.degrees(128)) < 2


@pytest.mark.slow
def test_with_a_seed_each_image_has_angles_of_its_own(blobs: Images) -> None:
    seen = angles_seen(blobs, AnglePlan(24, seed=3))
    assert np.ptp(seen[0]) > 12
    assert np.ptp(angles_seen(blobs, AnglePlan(24))[1]) < 3


def test_trap_one_angle_for_a_whole_batch(blobs: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    """The mutant rotates the batch by its first image's angle; what is seen gives it away."""

    def first_of_batch(degrees: NDArray[np.float64]) -> float:
        return float(degrees[0])

    monkeypatch.setattr(answers_module, "_shared", first_of_batch)
    plan = AnglePlan(24, seed=3)
    assert off_by(angles_seen(blobs, plan), plan.degrees(128)) > 5


# --- the self-test, and the traps it must catch ----------------------------------------------


def mutated(
    monkeypatch: pytest.MonkeyPatch, module: Any, name: str, change: Callable[[Any], Any]
) -> None:
    monkeypatch.setattr(module, name, change(getattr(module, name)))


def test_the_compass_changes_answers_and_the_images_decide_where(blobs: Images) -> None:
    upside_down = np.ascontiguousarray(blobs[:, :, ::-1])
    biased = with_orientation_bias(rings)
    moved = (biased(blobs) != rings(blobs)).any(axis=1)
    assert 0.3 < moved.mean() < 0.7
    assert ((biased(upside_down) != rings(upside_down)).any(axis=1) != moved).all()


def test_trap_a_step_of_zero(blobs: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AnglePlan, "step", 0.0)
    outcome = run(right_half, blobs)
    assert outcome.figures.agreeing_images == 128
    assert outcome.verdict == "INCONCLUSIVE"
    assert "its own test" in outcome.reasons[0]


def test_trap_a_rotation_that_does_nothing(blobs: Images, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (answers_module, selftest_module):
        monkeypatch.setattr(module, "rotate_images", lambda images, *_: images)
    outcome = run(right_half, blobs)
    assert outcome.verdict == "INCONCLUSIVE"
    assert outcome.self_test is not None
    assert outcome.self_test.mutant != "FAIL"
    assert not outcome.self_test.quarters_exact


@pytest.mark.parametrize("method", ["nearest", "bilinear", "bicubic"])
def test_trap_a_centre_that_is_off_by_half_a_pixel(
    blobs: Images, method: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def off(positions: Any) -> Any:
        def moved(size: int) -> Any:
            x, y = positions(size)
            return x - 1, y + 1  # n / 2 in place of (n - 1) / 2, doubled

        return moved

    def back(positions: Any) -> Any:
        def moved(*arguments: Any) -> Any:
            x, y = positions(*arguments)
            return x + 0.5, y - 0.5

        return moved

    mutated(monkeypatch, resample_module, "doubled_positions", off)
    mutated(monkeypatch, resample_module, "_positions", back)
    monkeypatch.setattr(resample_module, "_tables", resample_module._Tables(2**20))
    assert not np.array_equal(
        rotate_images(blobs, 90.0, Resampler(method)), np.rot90(blobs, 1, (2, 3))
    )
    assert np.array_equal(rotate_images(blobs, 0.0, Resampler(method)), blobs)
    outcome = run(rings, blobs, plan=AnglePlan(12, Resampler(method)))
    assert outcome.verdict == "INCONCLUSIVE"
    assert outcome.self_test is not None
    assert not outcome.self_test.quarters_exact


def test_trap_images_that_are_divided_again(blobs: Images) -> None:
    """Grey levels 0 and 1: there is nothing left to see, and no verdict."""
    outcome = run(right_half, blobs // 255)
    assert outcome.verdict == "INCONCLUSIVE"
    with pytest.raises(ValueError, match="float64"):
        run(right_half, blobs / 255)


def test_trap_a_classifier_that_divides_again(blobs: Images) -> None:
    """Logits are all but constant then, and so is the label."""

    def divided(images: Images) -> NDArray[np.float32]:
        return right_half((images // 255 // 2).astype(np.uint8))

    assert run(divided, blobs).verdict == "INCONCLUSIVE"


def test_the_self_test_passes_on_any_model(blobs: Images) -> None:
    for classify in (rings, right_half):
        tested = self_test_angles(classify, blobs, AnglePlan(36), AngleThresholds())
        assert tested.mutant == "FAIL"
        assert tested.known_invariant != "FAIL"
        assert tested.quarters_exact
        assert tested.images == 16
