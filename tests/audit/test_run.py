import base64
import io
import json
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from artifact.audit_set import AuditSet
from artifact.identity import ModelIdentity
from audit import (
    AnglePlan,
    AngleThresholds,
    Classifier,
    Execution,
    ProofSummary,
    Report,
    SelfTest,
    Thresholds,
    audit_angles,
    measure_exactness,
    run_audit,
)
from audit.comparison import Margins, compare
from audit.moved import moved_images
from imaging import grid_symmetries


@pytest.fixture
def audited(images: NDArray[np.uint8], model: ModelIdentity, thresholds: Thresholds) -> Any:
    def audit(classify: Classifier, count: int = 400, **options: Any) -> Report:
        arguments: dict[str, Any] = {
            "labels": None,
            "group": "C4",
            "thresholds": thresholds,
            "model": model,
            "source": "noise",
            **options,
        }
        return run_audit(classify, images[:count], **arguments)

    return audit


def test_a_model_that_is_invariant_in_batches_alone_is_no_pass(
    audited: Any, invariant: Classifier, plain: Classifier
) -> None:
    def classify(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return (plain if len(images) == 1 else invariant)(images)

    report = audited(classify)
    assert report.verdict == "INCONCLUSIVE"
    assert report.figures.agreeing_images == report.figures.images
    assert "Without any rotation" in report.reasons[0]


def pixels(png: str | None) -> NDArray[np.uint8]:
    assert png is not None
    with Image.open(io.BytesIO(base64.b64decode(png, validate=True))) as picture:
        return np.asarray(picture)


def test_an_invariant_classifier_passes(audited: Any, invariant: Classifier) -> None:
    report = audited(invariant, group="D4")
    assert report.verdict == "PASS"
    assert report.figures.max_logit_deviation == 0
    assert report.figures.deviations.unmoved == 400
    assert report.worst == ()


def test_a_plain_classifier_fails_and_shows_its_worst_images(
    audited: Any, plain: Classifier, images: NDArray[np.uint8]
) -> None:
    report = audited(plain)
    assert report.verdict == "FAIL"
    assert len(report.worst) == 10
    turns = {"r90": 1, "r180": 2, "r270": 3}
    for worst in report.worst:
        image = images[worst.index : worst.index + 1]
        rotated = np.rot90(image, turns[worst.element], axes=(2, 3))
        assert plain(image).argmax() == worst.label
        assert plain(rotated).argmax() == worst.rotated_label
        assert np.abs(plain(rotated) - plain(image)).max() == worst.logit_deviation
        seen = worst.counterexample
        assert np.array_equal(plain(image)[0], np.float32(seen.upright_logits))
        assert np.array_equal(plain(rotated)[0], np.float32(seen.rotated_logits))
        assert np.array_equal(pixels(seen.upright_png), image[0, 0])
        assert np.array_equal(pixels(seen.rotated_png), rotated[0, 0])


def test_the_group_that_is_tried_matters(audited: Any, weights: NDArray[np.int64]) -> None:
    upside_down = weights + np.rot90(weights, 2, axes=(2, 3))

    def classify(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return np.einsum("nchw,kchw->nk", images.astype(np.int64), upside_down).astype(np.float32)

    assert audited(classify, group="C2").verdict == "PASS"
    assert audited(classify, group="C4").verdict == "FAIL"


def test_a_constant_classifier_is_not_praised(audited: Any) -> None:
    report = audited(lambda images: np.tile(np.float32([0, 7, 1]), (len(images), 1)))
    assert report.verdict == "INCONCLUSIVE"
    assert report.figures.label_agreement == 1
    assert report.figures.label_entropy == 0


def test_a_classifier_that_minds_its_neighbours_is_not_praised(
    audited: Any, invariant: Classifier
) -> None:
    def batch_normalised(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        logits = invariant(images)
        return logits - logits.mean(axis=0) / 50

    report = audited(batch_normalised)
    assert report.verdict == "INCONCLUSIVE"
    assert report.noise_floor.relative > report.thresholds.logit_tolerance


def test_few_images_do_not_suffice(audited: Any, invariant: Classifier) -> None:
    assert audited(invariant, count=367).verdict == "INCONCLUSIVE"
    assert audited(invariant, count=368).verdict == "PASS"


@pytest.fixture
def mostly_still(images: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """400 different images, of which quarter turns change 20."""
    turns = [np.rot90(images // 4, quarters, (2, 3)) for quarters in range(4)]
    still = np.sum(turns, axis=0, dtype=np.uint8)
    return np.concatenate([images[:20], still[20:]])


def test_images_that_no_rotation_changes_show_nothing(
    audited: Any,
    invariant: Classifier,
    plain: Classifier,
    images: NDArray[np.uint8],
    mostly_still: NDArray[np.uint8],
    model: ModelIdentity,
    thresholds: Thresholds,
) -> None:
    common: dict[str, Any] = {"group": "C4", "thresholds": thresholds, "model": model}
    report = run_audit(invariant, mostly_still, None, source="stars", **common)
    assert report.figures.agreement_interval.low > 0.99
    assert report.verdict == "INCONCLUSIVE"
    assert report.reasons == (
        "380 of 400 images are the same, within 2 of 255 grey levels, after a rotation that was "
        "tried, and do not show what it does: of the others 20 of 20 keep their label, which shows "
        "83.16% of all such images, and 99.00% is asked.",
    )
    proof = ProofSummary(outcome="PROVED", subgroup="C4", covers=True, reasons=("It is.",))
    proved = run_audit(invariant, mostly_still, None, source="stars", proof=proof, **common)
    assert proved.verdict == "INCONCLUSIVE"
    assert "and 95.00% is asked" in proved.reasons[0]
    enough = np.concatenate([images[:72], mostly_still[72:]])
    proved = run_audit(invariant, enough, None, source="stars", proof=proof, **common)
    assert proved.verdict == "PASS"
    assert run_audit(plain, mostly_still, None, source="stars", **common).verdict == "FAIL"


def test_images_that_no_rotation_changes_do_not_hide_that_others_get_one_label(
    images: NDArray[np.uint8], model: ModelIdentity, thresholds: Thresholds
) -> None:
    blank = np.zeros_like(images)
    blank[:] = np.arange(400)[:, None, None, None] % 200

    def patterned(x: NDArray[np.uint8]) -> NDArray[np.float32]:
        shown = (x != x[..., :1, :1]).any(axis=(1, 2, 3))
        return np.stack([shown, ~shown], axis=1).astype(np.float32)

    both = np.concatenate([images, blank])
    common: dict[str, Any] = {"group": "C4", "thresholds": thresholds, "model": model}
    report = run_audit(patterned, both, None, source="blank and not", **common)
    assert report.verdict == "INCONCLUSIVE"
    assert report.reasons == (
        "All images that every rotation changes get the same label, so that their agreement says "
        "nothing.",
    )
    result = compare(report, report, Margins(class_margin=None))
    assert result.verdict == "INCONCLUSIVE"
    assert result.reasons[0].startswith("Nearly all images that every rotation changes")


def test_a_class_of_images_that_no_rotation_changes_is_in_doubt(
    invariant: Classifier,
    images: NDArray[np.uint8],
    mostly_still: NDArray[np.uint8],
    model: ModelIdentity,
) -> None:
    labels = np.arange(400) % 4
    mixed = np.where((labels == 3)[:, None, None, None], mostly_still, images)
    mixed[:20] = images[:20]
    more = np.concatenate([mixed, images[::-1] ^ 1])
    report = run_audit(
        invariant,
        more,
        np.concatenate([labels, np.arange(400) % 3]),
        group="C4",
        thresholds=Thresholds(),
        model=model,
        source="stars",
    )
    assert report.verdict == "INCONCLUSIVE"
    (reason,) = report.reasons
    assert reason.endswith("so many keep their label: label 3 5/5; 80.00% is asked of each class.")


def test_stripes_do_not_show_that_up_and_down_are_alike(
    audited: Any, images: NDArray[np.uint8], model: ModelIdentity, thresholds: Thresholds
) -> None:
    """A half turn leaves them as they are, and a quarter turn does not."""
    stripes = np.maximum(images, np.rot90(images, 2, (2, 3)))

    def heavier_above(x: NDArray[np.uint8]) -> NDArray[np.float32]:
        rows = x.sum(axis=(1, 3), dtype=np.int64)
        difference = np.sign(rows[:, :4].sum(axis=1) - rows[:, 4:].sum(axis=1))
        bright = np.sign(rows.sum(axis=1) - 64 * 170)
        logits = bright + 2 * difference
        return np.stack([logits, -logits], axis=1).astype(np.float32)

    common: dict[str, Any] = {"group": "C4", "thresholds": thresholds, "model": model}
    assert audited(heavier_above).verdict == "FAIL"
    report = run_audit(heavier_above, stripes, None, source="stripes", **common)
    assert report.figures.agreeing_images == 400
    assert report.verdict == "INCONCLUSIVE"
    assert report.reasons[0].startswith("400 of 400 images are the same, within 2")


def test_every_symmetry_or_its_like_has_to_change_an_image(images: NDArray[np.uint8]) -> None:
    image = images[:1]
    mirrored = np.maximum(image, image[..., ::-1])
    quarters = np.max([np.rot90(image, k, (2, 3)) for k in range(4)], axis=0)
    stripes = np.maximum(image, np.rot90(image, 2, (2, 3)))
    for some, group, moves in (
        (image, "D4", True),
        (mirrored, "C4", True),
        (mirrored, "D4", True),  # upside down, it shows what the other mirror image does
        (mirrored, "D2", False),
        (quarters, "D4", False),
        (stripes, "C4", False),
        (stripes, "C2", False),
        (stripes, "D2", False),
    ):
        assert moved_images(some, grid_symmetries(group)).tolist() == [moves], group


@pytest.mark.parametrize(("noise", "verdict"), [(2, "INCONCLUSIVE"), (3, "PASS")])
def test_images_that_noise_alone_tells_from_their_rotated_ones_show_nothing(
    noise: int, verdict: str
) -> None:
    grey = np.zeros((400, 1, 8, 8), np.uint8) + np.uint8(np.arange(400) % 200)[:, None, None, None]
    grey += np.random.default_rng(0).integers(0, noise, grey.shape, np.uint8, endpoint=True)
    grey[:, 0, 0, 0] = np.arange(400) % 200
    grey[:, 0, 0, 7] = grey[:, 0, 0, 0] + noise

    def bright(x: NDArray[np.uint8]) -> NDArray[np.float32]:
        above = np.sign(x.sum(axis=(1, 2, 3), dtype=np.int64) - 64 * 100)
        return np.stack([-above, above], axis=1).astype(np.float32)

    report = run_audit(
        bright,
        grey,
        None,
        group="C4",
        thresholds=Thresholds(class_agreement=None),
        model=ModelIdentity(name="m", version=1, sha256="0" * 64, group="C4", precision="fp32"),
        source="noise",
    )
    assert report.figures.agreement_interval.low > 0.99
    assert report.verdict == verdict


def test_equal_bits_are_not_shown_by_images_that_no_rotation_changes(
    invariant: Classifier, mostly_still: NDArray[np.uint8]
) -> None:
    for images, exact in ((mostly_still, True), (mostly_still[20:], False)):
        found = measure_exactness([("here", invariant)], images, "C4")
        assert (found.exact, found.max_logit_deviation) == (exact, 0.0)
        # Where no rotation is to be tried, none is missing.
        assert measure_exactness([("here", invariant)], images, "trivial").exact


@pytest.mark.parametrize("masked", [-1e6, -1e9])
def test_a_huge_constant_logit_hides_nothing(
    audited: Any, invariant: Classifier, masked: float
) -> None:
    def moving(x: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Keep every label, and move by half of what logits vary by."""
        heavier = x[:, :, :4].sum((1, 2, 3)) > x[:, :, 4:].sum((1, 2, 3))
        kept = 40 * np.eye(5)[invariant(x).argmax(axis=1)]
        return np.asarray(kept + 20 * heavier[:, None], np.float32)

    def mask(classify: Classifier) -> Classifier:
        return lambda x: np.insert(classify(x), 5, np.float32(masked), axis=1)

    assert audited(moving).verdict == "FAIL"
    hidden = audited(mask(moving))
    assert hidden.figures.relative_logit_deviation < 1e-4
    assert hidden.figures.deviation_of_variation == pytest.approx(2 / 3)
    assert hidden.verdict == "INCONCLUSIVE"
    assert "of what logits vary by" in hidden.reasons[0]
    kept = audited(mask(invariant))
    assert kept.verdict == "PASS"
    assert "deviation_of_variation" not in kept.model_dump_json()


@pytest.mark.parametrize(("offset", "verdict"), [(1e6, "PASS"), (0.0, "PASS")])
def test_a_model_that_rounds_beside_a_huge_constant_is_not_blamed(
    audited: Any, invariant: Classifier, offset: float, verdict: str
) -> None:
    def rounding(x: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Move by a step of a float32, as sums in another order do."""
        logits = (invariant(x) / 1e4 + np.float32(offset)).astype(np.float32)
        odd = x[:, 0, 0, 0] % 2 == 1
        return np.where(odd[:, None], np.nextafter(logits, np.float32(np.inf)), logits)

    assert audited(rounding).verdict == verdict


def test_a_failed_self_test_forbids_a_verdict(audited: Any, invariant: Classifier) -> None:
    broken = SelfTest(images=32, mutant="PASS", known_invariant="PASS")
    report = audited(invariant, self_test=broken)
    assert report.verdict == "INCONCLUSIVE"
    assert report.self_test == broken


def test_the_batch_size_changes_nothing(audited: Any, plain: Classifier) -> None:
    assert audited(plain, batch_size=7) == audited(plain, batch_size=400)


def test_equal_inputs_give_equal_json(
    audited: Any, plain: Classifier, images: NDArray[np.uint8]
) -> None:
    labels = np.arange(400) % 5
    first, second = (audited(plain, labels=labels.copy()).model_dump_json() for _ in range(2))
    assert first == second
    assert first != audited(plain).model_dump_json()


def test_the_json_opens_with_the_verdict_and_reads_back(audited: Any, plain: Classifier) -> None:
    report = audited(plain)
    text = report.model_dump_json(indent=2)
    assert text.startswith('{\n  "verdict": "FAIL"')
    assert json.loads(text)["figures"]["agreement_interval"].keys() == {"low", "high"}
    assert Report.model_validate_json(text) == report


def test_the_report_names_the_very_data(
    audited: Any, plain: Classifier, images: NDArray[np.uint8]
) -> None:
    labels = np.arange(400) % 5
    data = audited(plain, labels=labels).data
    assert (data.source, data.count) == ("noise", 400)
    assert data.sha256 == AuditSet(images, labels).sha256()
    assert data.image_sha256 == AuditSet(images).image_sha256()


def test_the_report_names_what_ran_and_how_to_run_it_again(audited: Any, plain: Classifier) -> None:
    ran = Execution(
        orbitserve="0.1.0",
        runtime="onnxruntime",
        runtime_version="1.31.0",
        provider="CPUExecutionProvider",
        threads=2,
    )
    report = audited(plain, execution=ran, replay="orbitserve audit m/1")
    assert report.execution == ran
    assert report.replay == "orbitserve audit m/1"
    assert audited(plain) == report.model_copy(update={"execution": None, "replay": None})


def test_pictures_can_be_left_out(audited: Any, plain: Classifier) -> None:
    """Whoever may not pass images on keeps the figures, and the answers."""
    shown, kept = audited(plain), audited(plain, pictures=False)
    assert "png" not in kept.model_dump_json(exclude_none=True)
    assert [w.counterexample.rotated_logits for w in kept.worst] == [
        w.counterexample.rotated_logits for w in shown.worst
    ]


def test_the_drift_is_that_of_each_image(audited: Any, plain: Classifier) -> None:
    figures = audited(plain).figures
    assert figures.deviations.unmoved + sum(each.images for each in figures.deviations.bins) == 400
    last = figures.deviations.bins[-1]
    assert last.low < figures.relative_logit_deviation <= last.high


@pytest.mark.parametrize("group", ["trivial", "C1", "C3"])
def test_a_group_that_rotates_nothing_is_refused(
    audited: Any, plain: Classifier, group: str
) -> None:
    with pytest.raises(ValueError, match=f"The group '{group}' rotates no image exactly"):
        audited(plain, group=group)


def test_labels_for_other_images_are_refused(audited: Any, plain: Classifier) -> None:
    with pytest.raises(ValueError, match="The labels are int64 of shape"):
        audited(plain, labels=np.zeros(399, np.int64))


def test_a_model_opened_otherwise_is_part_of_the_noise_floor(
    audited: Any, invariant: Classifier
) -> None:
    def shifted(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        return invariant(images) + np.float32(64)

    assert audited(invariant).noise_floor.elsewhere is None
    assert audited(invariant, others=[invariant]).noise_floor.elsewhere == 0
    report = audited(invariant, others=[invariant, shifted])
    assert report.noise_floor.elsewhere == 64
    assert report.verdict == "INCONCLUSIVE"


@pytest.mark.parametrize(
    ("orbit", "angles", "joined"),
    [
        ("PASS", "PASS", "PASS"),
        ("PASS", "FAIL", "FAIL"),
        ("INCONCLUSIVE", "PASS", "INCONCLUSIVE"),
        ("FAIL", "INCONCLUSIVE", "FAIL"),
    ],
)
def test_the_worse_verdict_counts(
    audited: Any,
    invariant: Classifier,
    images: NDArray[np.uint8],
    orbit: Any,
    angles: Any,
    joined: str,
) -> None:
    outcome = audit_angles(
        invariant, images[:8], None, plan=AnglePlan(8), thresholds=AngleThresholds()
    ).model_copy(update={"verdict": angles, "reasons": ("A reason of the angles.",)})
    report = audited(invariant).model_copy(update={"orbit_verdict": orbit}).joined(angles=outcome)
    assert report.verdict == joined
    assert report.reasons[-1] == "A reason of the angles."
    assert report.orbit.verdict == orbit
    assert (*report.orbit.reasons, "A reason of the angles.") == report.reasons
    assert report.joined(angles=outcome) == report
    assert Report.model_validate_json(report.model_dump_json()) == report


def test_the_report_says_what_it_does_not_claim(audited: Any, invariant: Classifier) -> None:
    assert any("nothing of angles between" in claim for claim in audited(invariant).claim)
