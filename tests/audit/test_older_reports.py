"""Reports of older schemas are read by the names of now, and keep their own names and digests."""

import json
from pathlib import Path

from audit import Report
from audit.canonical import canonical_json, document_digest, report_digest
from audit.older_reports import downgraded, upgraded
from audit.render import render

FILE = Path(__file__).parent / "data" / "report-5.json"
DIGEST = "0ae42da9f7ca81e5af23a2c94e3a3e2847538132e683a9af9df694d637f4dba0"
OLDER = {
    *("turned_label", "turned_logits", "turned_png", "turned_only", "drift", "control_drift"),
    *("witness", "witnesses", "twin", "circle", "arcs", "quarter_arcs", "longest_missed_arc"),
}


def names(value: object) -> set[str]:
    if isinstance(value, list):
        return {name for each in value for name in names(each)}
    if not isinstance(value, dict):
        return set()
    return {*value} | {name for each in value.values() for name in names(each)}


def test_a_report_of_schema_5_keeps_its_digest() -> None:
    """The file is what this project wrote with the schema before."""
    report = Report.model_validate_json(FILE.read_bytes())
    assert report.schema_version == 5
    assert report_digest(report) == document_digest(json.loads(FILE.read_bytes())) == DIGEST
    assert canonical_json(report) == FILE.read_bytes()


def test_it_is_read_by_the_names_of_now() -> None:
    report = Report.model_validate_json(FILE.read_bytes())
    older = json.loads(FILE.read_bytes())
    assert report.worst[0].rotated_label == older["worst"][0]["turned_label"]
    assert report.exhaustive_angles is not None
    assert len(report.exhaustive_angles.images) == len(older["circle"]["images"])
    assert names(older) >= OLDER
    assert not names(upgraded(older)) & OLDER
    assert downgraded(upgraded(older)) == older


def test_its_json_is_of_its_own_schema() -> None:
    written = json.loads(render(Report.model_validate_json(FILE.read_bytes()), "json"))
    assert document_digest(written) == DIGEST
    assert names(written) >= OLDER


def test_one_of_now_has_no_other_names() -> None:
    report = json.loads(FILE.read_bytes())
    now = {**upgraded(report), "schema_version": 6}
    assert upgraded(now) == downgraded(now) == now
