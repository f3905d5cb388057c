"""What counts once: equal images, rotated or not, and images of one thing."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from artifact.audit_set import AuditSet, load_audit_set, save_audit_set
from artifact.identity import ModelIdentity
from audit import (
    AnglePlan,
    AngleThresholds,
    Classifier,
    ModelUnderTest,
    Report,
    ResolvedOptions,
    Thresholds,
    run_audit,
    run_pipeline,
)
from audit.report import Accuracy
from audit.units import Units, find_units, near_duplicates, single_units
from commands.images import read_groups
from imaging import GridSymmetry, grid_symmetries

C4, D4 = grid_symmetries("C4"), grid_symmetries("D4")
Images = NDArray[np.uint8]


def test_rotated_copies_are_one_unit(images: Images) -> None:
    rotated = np.concatenate([g(images[:10]) for g in D4])
    assert find_units(rotated, D4).of.tolist() == [*range(10)] * 8
    # Under C4 an image and its mirror image are two.
    assert find_units(rotated, C4).count == 20
    assert find_units(images, D4).of.tolist() == [*range(400)]


def test_groups_join_what_they_share_with_copies(images: Images) -> None:
    """Image 3 is image 0 rotated; 0 is of the part of 1, and 3 of that of 4."""
    five = images[:5].copy()
    five[3] = np.rot90(five[0], axes=(1, 2))
    assert find_units(five, C4, np.array([7, 7, 1, 2, 2])).of.tolist() == [0, 0, 1, 0, 0]


@given(st.lists(st.integers(0, 3), min_size=1, max_size=12), st.integers(0, 2**32))
def test_a_unit_keeps_what_all_of_its_images_keep(names: list[int], seed: int) -> None:
    seen: dict[int, int] = {}
    units = Units(np.array([seen.setdefault(name, len(seen)) for name in names]))
    random = np.random.default_rng(seed)
    kept, values = random.random((3, len(names))) < 0.7, random.random((2, len(names)))
    members = [units.of == unit for unit in range(units.count)]
    assert np.array_equal(units.all(kept), np.stack([kept[:, m].all(1) for m in members], 1))
    np.testing.assert_allclose(
        units.mean(values), np.stack([values[:, m].mean(1) for m in members], 1)
    )
    assert units.first(np.array(names)).tolist() == list(seen)


def test_near_duplicates_are_counted_and_not_joined(images: Images) -> None:
    few = np.clip(images[:20], 1, 254)
    noise = np.random.default_rng(0).integers(-1, 2, few[:4].shape)
    near = np.rot90(few[:4] + noise, axes=(2, 3)).astype(np.uint8)
    together = np.concatenate([few, near])
    units = find_units(together, C4)
    assert units.count == 24
    assert near_duplicates(together, C4, units) == 8
    assert near_duplicates(images, C4, single_units(400)) == 0


@pytest.fixture
def audited(model: ModelIdentity, invariant: Classifier) -> Callable[..., Report]:
    def audit(images: Images, groups: NDArray[np.int64] | None = None, **asked: object) -> Report:
        options = ResolvedOptions(
            str(asked.get("group", "C4")),
            Thresholds(class_agreement=None),
            AnglePlan(8),
            AngleThresholds(class_agreement=None),
        )
        audit_set = AuditSet(images, groups=groups)
        return run_pipeline(ModelUnderTest(model, invariant), audit_set, options, source="here")

    return audit


@pytest.mark.slow
def test_copies_do_not_make_an_audit_sure(audited: Callable[..., Report], images: Images) -> None:
    """The mutant: 128 images, each four times, would pass as 512."""
    report = audited(np.concatenate([g(images[:128]) for g in C4]))
    assert report.orbit_verdict == "INCONCLUSIVE"
    assert (report.data.count, report.data.units, report.figures.images) == (512, 128, 128)
    assert report.angles is not None
    assert report.angles.figures.images == 128
    assert any("The 512 images count as 128" in claim for claim in report.claim)
    assert audited(images).orbit_verdict == "PASS"


def test_images_of_one_part_count_once(audited: Callable[..., Report], images: Images) -> None:
    report = audited(images, np.arange(400) // 4)
    assert report.figures.images == 100
    assert report.orbit_verdict == "INCONCLUSIVE"


def test_copies_do_not_make_an_accuracy_sure(
    model: ModelIdentity, invariant: Classifier, images: Images
) -> None:
    def accuracy(of: Images) -> Accuracy:
        report = run_audit(
            invariant,
            of,
            invariant(of).argmax(axis=-1),
            group="C4",
            thresholds=Thresholds(),
            model=model,
            source="here",
        )
        assert report.figures.accuracy is not None
        return report.figures.accuracy

    few = images[:10]
    again = accuracy(np.concatenate([g(few) for g in C4]))
    assert (again.correct, again.count) == (40, 40)
    assert again.interval == accuracy(few).interval


@pytest.mark.parametrize(("group", "turns"), [("C2", C4), ("D1", D4), ("D2", D4), ("C4", C4)])
def test_where_all_angles_are_tried_so_are_the_copies(
    audited: Callable[..., Report], images: Images, group: str, turns: tuple[GridSymmetry, ...]
) -> None:
    """The mutant: of a smaller group, quarter turns of one image count as other images."""
    report = audited(np.concatenate([g(images[:20]) for g in turns]), group=group)
    assert report.angles is not None
    assert report.angles.figures.images == 20


def test_a_class_is_judged_by_all_of_its_images(model: ModelIdentity, images: Images) -> None:
    """The mutant: the backs of parts, a class of their own, hide behind the fronts."""
    shown = np.minimum(images[:80], 100)
    shown[40:, 0, 3:5, 3:5] = 255
    shown[40:, 0, 0] = 255

    def classify(asked: Images) -> NDArray[np.float32]:
        back = asked[:, 0, 3, 3] == 255
        rotated = ~(asked[:, 0, 0] == 255).all(axis=1)
        labels = np.where(back, 2 + rotated, asked.sum(axis=(1, 2, 3), dtype=np.int64) % 2)
        return np.eye(4, dtype=np.float32)[labels]

    labels = np.repeat([0, 2], 40)
    options = ResolvedOptions("C4", Thresholds(agreement=0.3))
    for groups in (np.arange(80), np.tile(np.arange(40), 2)):
        audit_set = AuditSet(shown, labels, groups)
        report = run_pipeline(ModelUnderTest(model, classify), audit_set, options, source="here")
        assert [(c.label, c.images, c.agreeing) for c in report.figures.classes] == [
            (0, 40, 40),
            (2, 40, 0),
        ]
        assert report.verdict == "FAIL"


def test_labels_that_are_no_class_are_refused(model: ModelIdentity, invariant: Classifier) -> None:
    images = np.zeros((3, 1, 8, 8), np.uint8)
    options = ResolvedOptions("C4", Thresholds())
    for strange in (-1, 5, 99):
        audit_set = AuditSet(images, np.array([0, strange, 4]))
        with pytest.raises(ValueError, match=f"is {strange}; the model has 5 classes"):
            run_pipeline(ModelUnderTest(model, invariant), audit_set, options, source="here")


def test_a_set_keeps_its_groups(tmp_path: Path, images: Images) -> None:
    kept = AuditSet(images[:4], groups=np.array([1, 1, 2, 3]))
    save_audit_set(tmp_path / "a.npz", kept)
    found = load_audit_set(tmp_path / "a.npz")
    assert found.groups is not None
    assert found.groups.tolist() == [1, 1, 2, 3]
    assert kept.sha256() != AuditSet(images[:4]).sha256()
    with pytest.raises(ValueError, match="The groups are"):
        AuditSet(images[:4], groups=np.array([1, 2]))


def test_groups_are_folders_or_lines_of_a_file(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a/1.png", "a/2.png", "b/1.png")]
    assert read_groups("folder", paths).tolist() == [0, 0, 1]
    table = tmp_path / "parts.csv"
    table.write_text("a/1.png,bolt 7\nb/1.png,bolt 7\n2.png,bolt 8\n")
    assert read_groups(str(table), paths).tolist() == [0, 1, 0]
    alike = (",Näh te", ", Näh te", ",Na\u0308h te\t")
    table.write_text("\n".join(f"{path}{name}" for path, name in zip(paths, alike, strict=True)))
    assert read_groups(str(table), paths).tolist() == [0, 0, 0]
    with pytest.raises(ValueError, match="no line for"):
        read_groups(str(table), [tmp_path / "c.png"])
    table.write_text("a/1.png\n")
    with pytest.raises(ValueError, match="two columns"):
        read_groups(str(table), paths)
    with pytest.raises(ValueError, match=r"is a folder; 'folder', or a CSV file"):
        read_groups(str(tmp_path), paths)
