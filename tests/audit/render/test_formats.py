"""What holds of every format."""

import json
from pathlib import Path
from typing import NoReturn, get_args

import pytest

from audit import Report
from audit.render import FORMATS, SIGNED, Format, formats, render


def test_every_format_has_a_renderer() -> None:
    assert {*FORMATS, SIGNED} == set(get_args(Format))
    assert len({rendering.suffix for rendering in FORMATS.values()}) == len(FORMATS)


def test_the_guide_has_a_row_for_every_format() -> None:
    guide = (Path(__file__).parents[3] / "docs" / "reports.md").read_text()
    for name, each in formats(Nobody()).items():
        assert f"| `{name}` | `{each.suffix}` | `{each.media_type}` |" in guide


class Nobody:
    """Signs nothing, but there would be a signed format."""

    def sign(self, message: bytes) -> NoReturn:
        raise AssertionError(message)


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
