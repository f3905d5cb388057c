from typing import Any

import numpy as np
from numpy.typing import NDArray

from artifact.identity import ModelIdentity
from audit import (
    AnglePlan,
    AngleThresholds,
    Classifier,
    Thresholds,
    audit_angles,
    audit_exhaustively,
    run_audit,
)
from audit.render import render_text


def test_the_text_says_verdict_reasons_and_every_rotation(
    images: NDArray[np.uint8], model: ModelIdentity, thresholds: Thresholds, plain: Classifier
) -> None:
    labels = np.zeros(len(images), np.int64)
    options: dict[str, Any] = {"thresholds": thresholds, "model": model, "source": "noise"}
    report = run_audit(plain, images, labels, group="D4", **options)
    text = render_text(report)
    first, *lines = text.splitlines()
    assert first.startswith(f"{report.verdict}  {model.name} version {model.version}, over D4")
    assert all(reason in text for reason in report.reasons)
    for element in report.figures.elements:
        (line,) = [line for line in lines if line.strip().startswith(f"{element.element}  ")]
        assert str(element.changed_labels) in line.split()
    assert f"{report.figures.accuracy.correct} of {len(images)}" in text
    assert max(map(len, lines[len(report.reasons) :])) <= 100


def test_the_text_says_what_was_found_between_the_quarter_turns(
    images: NDArray[np.uint8], model: ModelIdentity, thresholds: Thresholds, plain: Classifier
) -> None:
    options: dict[str, Any] = {"thresholds": thresholds, "model": model, "source": "noise"}
    angles = audit_angles(
        plain, images[:40], None, plan=AnglePlan(24), thresholds=AngleThresholds()
    )
    exhaustive_angles = audit_exhaustively(plain, images, [0, 7], symmetry=None)
    report = run_audit(plain, images, None, group="C4", **options).joined(angles, exhaustive_angles)
    text = render_text(report)
    assert f"{angles.verdict}  at 24 angles, bilinear" in text
    assert f"{angles.figures.agreeing_images} of 40 keep their label" in text
    assert text.count("label") > 10
    for found in exhaustive_angles.images:
        assert f"{found.kept_degrees:.4f} of 360 degrees" in text
    flat = " ".join(text.split())
    for claim in (*report.claim, *angles.claim, *exhaustive_angles.claim):
        assert claim in flat
    below = text[text.index(f"{angles.verdict}  at") :]
    assert max(map(len, below.splitlines())) <= 100
