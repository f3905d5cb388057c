"""What became of each image: classes are compared by name, and what got worse is shown."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from artifact.identity import ModelIdentity
from audit import RefusedError, Report, run_audit
from audit.comparison import compare
from audit.thresholds import Thresholds
from tests.audit.compared import CLASSES, compared, losing, still


def test_classes_are_compared_by_name() -> None:
    """B has the same classes in another order: the same answers have other numbers."""
    places = [2, 0, 1]
    swapped = tuple(CLASSES[k] for k in np.argsort(places))
    other = still(9, classes=swapped, labels=[places[k] for k in still(9).labels])
    other = replace(other, expected=other.labels)
    result = compared(still(9), other)
    assert result.correct is not None
    assert (result.correct.lost, result.worse) == (0, ())
    assert {each.name for each in result.classes} == set(CLASSES)


def test_what_one_report_knows_of_images_serves_both() -> None:
    labels = still(9).labels
    wrong = still(9, expected=None, labels=[1, *labels[1:]])
    for result in (compared(still(9), wrong), compared(replace(still(9), expected=None), still(9))):
        assert result.correct is not None
    assert compared(still(9), wrong).correct.lost == 1  # type: ignore[union-attr]
    unknown = replace(still(9), expected=None)
    assert compared(unknown, unknown).correct is None


def test_reports_that_disagree_on_an_image_are_refused() -> None:
    other = still(9, expected=[1, *still(9).labels[1:]])
    with pytest.raises(RefusedError, match="image 0 shows 'bolt' according to A and 'nut'"):
        compared(still(9), other)


def test_what_got_worse_is_named_and_ranked() -> None:
    files = [f"parts/{n}.png" for n in range(9)]
    before = still(9, files=files)
    after = losing(before, 4)
    labels = [*after.labels]
    labels[7] = (labels[7] + 1) % 3
    moved = [*after.deviation]
    moved[1] = 0.2
    result = compared(before, replace(after, labels=labels, deviation=moved))
    wrong, lost, far = result.worse
    assert (wrong.name, wrong.became_wrong, wrong.lost_label) == ("parts/7.png", True, False)
    assert (wrong.expected, wrong.baseline_label, wrong.candidate_label) == ("nut", "nut", "washer")
    assert (lost.name, lost.became_wrong, lost.lost_label) == ("parts/4.png", False, True)
    assert (far.name, far.candidate_deviation) == ("parts/1.png", 0.2)


def test_pictures_are_those_of_images_at_hand_or_of_the_reports(
    plain: Any, images: Any, model: ModelIdentity
) -> None:
    def audited(classify: Any) -> Report:
        return run_audit(
            classify, images[:40], None, group="C4", thresholds=Thresholds(), model=model, source=""
        )

    def constant(some: Any) -> Any:
        return np.tile(np.array([2, 1, 0, 0, 0], np.float32), (len(some), 1))

    before, after = audited(constant), audited(plain)
    from_reports = compare(before, after).worse
    shown = {image.index for image in from_reports if image.png}
    assert shown == {worst.index for worst in after.worst} & {i.index for i in from_reports}
    assert all(image.rotated is not None for image in from_reports if image.index in shown)
    assert all(i.png for i in compare(before, after, images=images[:40]).worse[:24])
    hidden = compare(before, after, images=images[:40], pictures=False).worse
    assert not any(i.png or (i.rotated and i.rotated.png) for i in hidden)
