"""The SARIF format, read by types made of the standard's schema and by a tool that counts."""

import json
import re
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from pydantic import ValidationError
from pydantic_sarif.model import StaticAnalysisResultsFormatSarifVersion210JsonSchema as Sarif
from sarif import loader

from audit import Report
from audit.canonical import report_digest
from audit.render import render
from audit.render.checks import checks

KINDS = {"PASS": "pass", "FAIL": "fail", "INCONCLUSIVE": "open"}


def document(report: Report) -> Any:
    return json.loads(render(report, "sarif"))


def test_it_is_what_the_schema_says(report: Report) -> None:
    Sarif.model_validate_json(render(report, "sarif"))


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("version",), "2.0.0"),
        (("runs", 0, "tool"), {}),
        (("runs", 0, "results", 0, "level"), "fatal"),
        (("runs", 0, "results", 0, "kind"), "INCONCLUSIVE"),
        (("runs", 0, "results", 0, "message"), "a sentence"),
        (("runs", 0, "results", 0, "verdict"), "FAIL"),
        (("runs", 0, "invocations", 0), {"commandLine": "orbitserve audit"}),
    ],
)
def test_the_schema_refuses_what_is_broken(
    reports: dict[str, Report], place: tuple[Any, ...], value: Any
) -> None:
    broken = document(reports["broken"])
    *path, last = place
    inner = broken
    for step in path:
        inner = inner[step]
    inner[last] = value
    with pytest.raises(ValidationError):
        Sarif.model_validate_json(json.dumps(broken))


def test_each_check_is_a_result_that_says_why(report: Report) -> None:
    results = document(report)["runs"][0]["results"]
    for result, check in zip(results, checks(report), strict=False):
        assert result["ruleId"] == check.id
        assert result["kind"] == KINDS[check.verdict]
        assert result["message"]["text"] == " ".join(check.reasons)


def test_rules_and_levels_are_as_the_standard_asks(report: Report) -> None:
    """Sections 3.27.6 (ruleIndex), 3.27.10: a kind other than `fail` has the level `none`."""
    run = document(report)["runs"][0]
    for result in run["results"]:
        assert run["tool"]["driver"]["rules"][result["ruleIndex"]]["id"] == result["ruleId"]
        assert (result["level"] == "none") == (result["kind"] != "fail")
        assert result["locations"][0]["physicalLocation"]["artifactLocation"]["index"] == 0


def test_images_whose_label_changed_are_findings_where_that_is_a_fail(
    reports: dict[str, Report],
) -> None:
    report = reports["broken"]
    results = document(report)["runs"][0]["results"]
    shown = [r for r in results if "partialFingerprints" in r and r["ruleId"] == "exact-orbit"]
    changed = [worst for worst in report.worst if worst.label != worst.rotated_label]
    assert changed
    for result, worst in zip(shown, changed, strict=True):
        assert result["kind"] == "fail"
        assert result["properties"]["imageSha256"] == report.data.image_sha256[worst.index]
        degrees = worst.element.removeprefix("r")
        told = f"becomes label {worst.rotated_label} when rotated by {degrees}°."
        assert result["message"]["text"].endswith(told)
    doubtful = document(reports["few"])["runs"][0]["results"]
    assert all(result["kind"] != "fail" for result in doubtful)


def test_a_tool_counts_the_findings(reports: dict[str, Report], tmp_path: Path) -> None:
    counts = {}
    for name, report in reports.items():
        file = tmp_path / f"{name}.sarif"
        file.write_bytes(render(report, "sarif"))
        read = loader.load_sarif_file(str(file))
        assert read.get_distinct_tool_names() == ["orbitserve audit"]
        counts[name] = read.get_report().get_issue_count_for_severity("error")
    failed = {
        name: sum(check.verdict == "FAIL" for check in checks(report))
        for name, report in reports.items()
    }
    assert counts == failed
    assert failed["kept"] == failed["few"] == 0 < failed["broken"] <= failed["named"]


def test_it_names_the_model_the_data_and_the_report(report: Report) -> None:
    run = document(report)["runs"][0]
    assert run["artifacts"][0]["hashes"] == {"sha-256": report.model.sha256}
    assert run["properties"]["reportSha256"] == report_digest(report)
    assert run["properties"]["dataSha256"] == report.data.sha256
    assert run["invocations"][0]["commandLine"] == report.replay


@pytest.mark.parametrize("name", ["a b", "a:b", "a?b#c", "a%2Fb", "größe", '<"a">', "parts-2"])
def test_the_place_of_the_model_is_a_reference_to_a_uri(report: Report, name: str) -> None:
    """It is relative and leads to the file: `a:b` would be a scheme."""
    named = report.model_copy(update={"model": report.model.model_copy(update={"name": name})})
    (run,) = document(named)["runs"]
    places = [
        run["artifacts"][0]["location"],
        *(r["locations"][0]["physicalLocation"]["artifactLocation"] for r in run["results"]),
    ]
    for place in places:
        read = urlsplit(place["uri"])
        assert (read.scheme, read.netloc, read.query, read.fragment) == ("", "", "", "")
        assert re.fullmatch(r"[A-Za-z0-9._~/%-]+", place["uri"])
        assert unquote(read.path) == f"{name}/{named.model.version}/model.onnx"
