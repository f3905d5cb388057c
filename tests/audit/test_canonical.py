"""Equal reports have one digest, whatever road they came by."""

import hashlib
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from audit import Classifier, ModelIdentity, Report, Thresholds, run_audit
from audit.canonical import canonical_json, report_digest
from audit.render import render


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


def test_anybody_gets_the_digest_from_the_json_form(report: Report, tmp_path: Path) -> None:
    """By the command of docs/reports.md."""
    named = report.data.model_copy(update={"source": "Röntgen \N{MICRO SIGN} \x7f"})
    other = report.model_copy(update={"data": named})
    file = tmp_path / "report.json"
    file.write_bytes(render(other, "json"))
    options = ["--sort-keys", "--compact", "--no-ensure-ascii"]
    command = [sys.executable, "-X", "utf8", "-m", "json.tool", *options, str(file)]
    written = subprocess.run(command, check=True, capture_output=True).stdout
    assert hashlib.sha256(written.replace(b"\n", b"")).hexdigest() == report_digest(other)
