"""What holds of every format."""

import json
from typing import get_args

import pytest

from audit import Report
from audit.render import FORMATS, SIGNED, Format, render


def test_every_format_has_a_renderer() -> None:
    assert {*FORMATS, SIGNED} == set(get_args(Format))
    assert len({rendering.suffix for rendering in FORMATS.values()}) == len(FORMATS)


@pytest.mark.parametrize("report_format", FORMATS)
def test_equal_reports_have_equal_bytes_that_are_utf_8(
    report_format: Format, report: Report
) -> None:
    again = Report.model_validate_json(report.model_dump_json())
    data = render(report, report_format)
    assert data == render(again, report_format)
    assert data.decode().endswith("\n")


@pytest.mark.parametrize("report_format", FORMATS)
def test_every_format_says_the_verdict_and_why(
    report_format: Format, reports: dict[str, Report]
) -> None:
    for report in reports.values():
        text = render(report, report_format).decode()
        words = {report.verdict, f"{report.verdict}ED", "WARNED"} & set(
            text.replace('"', " ").replace("<", " ").replace(">", " ").split()
        )
        assert words, text[:200]


def test_the_json_format_opens_with_the_verdict_and_reads_back(report: Report) -> None:
    text = render(report, "json").decode()
    assert text.startswith(f'{{\n  "verdict": "{report.verdict}"')
    assert Report.model_validate_json(text) == report
    assert json.loads(text) == report.model_dump(mode="json")
