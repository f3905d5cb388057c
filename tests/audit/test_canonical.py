"""Equal reports have one digest, whatever road they came by."""

import json

import numpy as np
import pytest
from numpy.typing import NDArray

from audit import Classifier, ModelIdentity, Report, Thresholds, run_audit
from audit.canonical import canonical_json, report_digest


@pytest.fixture
def report(
    plain: Classifier, images: NDArray[np.uint8], thresholds: Thresholds, model: ModelIdentity
) -> Report:
    return run_audit(
        plain, images, None, group="C4", thresholds=thresholds, model=model, source="drawn"
    )


def test_a_report_read_back_has_the_same_digest(report: Report) -> None:
    written = canonical_json(report)
    again = Report.model_validate_json(written)
    assert canonical_json(again) == written
    assert report_digest(again) == report_digest(report)


def test_whatever_changes_changes_the_digest(report: Report) -> None:
    figures = report.figures.model_copy(update={"largest_logit": 7.0})
    other = report.model_copy(update={"figures": figures})
    assert report_digest(other) != report_digest(report)


def test_the_form_is_sorted_and_without_white_space(report: Report) -> None:
    written = canonical_json(report).decode()
    plain = json.loads(written)
    assert written == json.dumps(plain, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
