from typing import Any

import numpy as np
from numpy.typing import NDArray

from audit import Classifier, ModelIdentity, Thresholds, run_audit
from audit.render import render_text


def test_the_text_says_verdict_reasons_and_every_turn(
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
