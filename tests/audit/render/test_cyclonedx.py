"""The CycloneDX format, held against the standard's own schema, strictly."""

import base64
import json
from typing import Any
from xml.etree import ElementTree

import pytest
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from audit import Report
from audit.canonical import report_digest
from audit.render import render

VALIDATOR = JsonStrictValidator(SchemaVersion.V1_6)


def component(report: Report) -> Any:
    return json.loads(render(report, "cyclonedx"))["metadata"]["component"]


def test_it_is_what_the_schema_says(report: Report) -> None:
    text = render(report, "cyclonedx").decode()
    assert VALIDATOR.validate_str(text) is None
    assert json.loads(text)["specVersion"] == "1.6"


@pytest.mark.parametrize(
    ("place", "value"),
    [
        (("bomFormat",), "SPDX"),
        (("serialNumber",), "urn:uuid:1"),
        (("metadata", "component", "type"), "model"),
        (("metadata", "component", "hashes", 0, "content"), "ab"),
        (("metadata", "component", "modelCard", "verdict"), "PASS"),
        (
            (*("metadata", "component", "modelCard", "quantitativeAnalysis"), "performanceMetrics"),
            [{"type": "agreement", "value": 0.99}],
        ),
    ],
)
def test_the_schema_refuses_what_is_broken(
    reports: dict[str, Report], place: tuple[Any, ...], value: Any
) -> None:
    broken = json.loads(render(reports["kept"], "cyclonedx"))
    *path, last = place
    inner = broken
    for step in path:
        inner = inner[step]
    inner[last] = value
    assert VALIDATOR.validate_str(json.dumps(broken)) is not None


def test_the_figures_carry_their_intervals(report: Report) -> None:
    analysis = component(report)["modelCard"]["quantitativeAnalysis"]
    first, *others = analysis["performanceMetrics"]
    interval = report.figures.agreement_interval
    assert first["type"] == "images that keep their label"
    assert float(first["value"]) == report.figures.label_agreement
    assert float(first["confidenceInterval"]["lowerBound"]) == interval.low
    assert float(first["confidenceInterval"]["upperBound"]) == interval.high
    if report.angles is not None:
        (at_zero,) = [metric for metric in others if metric["slice"] == "0 degrees"]
        assert float(at_zero["value"]) == report.angles.figures.curve[0].agreement


def test_the_graphic_is_a_picture(reports: dict[str, Report]) -> None:
    analysis = component(reports["broken"])["modelCard"]["quantitativeAnalysis"]
    (graphic,) = analysis["graphics"]["collection"]
    svg = ElementTree.fromstring(base64.b64decode(graphic["image"]["content"], validate=True))
    assert svg.tag == "{http://www.w3.org/2000/svg}svg"
    assert "graphics" not in component(reports["kept"])["modelCard"]["quantitativeAnalysis"]


def test_what_is_not_claimed_is_a_limitation(report: Report) -> None:
    limits = component(report)["modelCard"]["considerations"]["technicalLimitations"]
    assert set(report.claim) <= set(limits)


def test_it_names_the_model_the_data_and_the_report(report: Report) -> None:
    found = component(report)
    assert found["hashes"] == [{"alg": "SHA-256", "content": report.model.sha256}]
    (data,) = found["modelCard"]["modelParameters"]["datasets"]
    assert data["contents"]["properties"] == [{"name": "sha256", "value": report.data.sha256}]
    told = {each["name"]: each["value"] for each in found["properties"]}
    assert told["orbitserve:audit:report-sha256"] == report_digest(report)
    assert told["orbitserve:audit:verdict"] == report.verdict


def test_other_audits_have_other_serial_numbers(reports: dict[str, Report]) -> None:
    serials = {json.loads(render(each, "cyclonedx"))["serialNumber"] for each in reports.values()}
    assert len(serials) == len(reports)
