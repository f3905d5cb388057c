"""Equal reports have one digest, whatever road they came by."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from artifact.identity import ModelIdentity
from audit import (
    Classifier,
    Report,
    Thresholds,
    run_audit,
)
from audit.canonical import (
    canonical,
    canonical_json,
    circumstances_json,
    document_digest,
    joined,
    report_digest,
)
from audit.older_reports import downgraded
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
    guide = (Path(__file__).parents[2] / "docs" / "reports.md").read_text()
    (script,) = re.findall(r"python -X utf8 -c '(.*?)' report.json", guide, re.DOTALL)
    command = [sys.executable, "-X", "utf8", "-c", script, str(file)]
    printed = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert printed.strip() == report_digest(other)


def test_how_it_was_asked_for_is_no_evidence(report: Report) -> None:
    files = tuple(f"{n}.png" for n in range(report.data.count))
    data = report.data.model_copy(update={"source": "elsewhere", "files": files})
    other = report.model_copy(update={"data": data, "replay": "orbitserve audit m/1"})
    assert canonical_json(other) == canonical_json(report)
    assert document_digest(json.loads(render(other, "json"))) == report_digest(report)
    asked = json.loads(circumstances_json(other))
    assert asked == {
        "replay": "orbitserve audit m/1",
        "data": {"source": "elsewhere", "files": [*files]},
    }
    whole = joined(json.loads(canonical_json(other)), asked)
    assert Report.model_validate_json(canonical(whole)) == other


@pytest.mark.parametrize("version", [3, 4])
def test_older_reports_are_digested_as_a_whole(report: Report, version: int) -> None:
    now = report.model_dump(mode="json")
    older = downgraded(now | {"schema_version": version, "replay": "as before"})
    del older["figures"]["answers"], older["data"]["files"]  # which they did not have
    as_before = json.dumps(older, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    digest = hashlib.sha256(as_before.encode()).hexdigest()
    assert document_digest(older) == digest
    assert report_digest(Report.model_validate_json(as_before)) == digest
    assert document_digest(older | {"replay": "otherwise"}) != digest
