"""What holds of every form."""

import json
from typing import get_args

import pytest

from audit import Report
from audit.render import FORMATS, SIGNED, Format, render


def test_every_format_has_a_form() -> None:
    assert {*FORMATS, SIGNED} == set(get_args(Format))
    assert len({form.suffix for form in FORMATS.values()}) == len(FORMATS)


@pytest.mark.parametrize("form", FORMATS)
def test_equal_reports_have_equal_bytes_that_are_utf_8(form: Format, report: Report) -> None:
    again = Report.model_validate_json(report.model_dump_json())
    data = render(report, form)
    assert data == render(again, form)
    assert data.decode().endswith("\n")


@pytest.mark.parametrize("form", FORMATS)
def test_every_form_says_the_verdict_and_why(form: Format, reports: dict[str, Report]) -> None:
    for report in reports.values():
        text = render(report, form).decode()
        words = {report.verdict, f"{report.verdict}ED", "WARNED"} & set(
            text.replace('"', " ").replace("<", " ").replace(">", " ").split()
        )
        assert words, text[:200]


def test_the_json_form_opens_with_the_verdict_and_reads_back(report: Report) -> None:
    text = render(report, "json").decode()
    assert text.startswith(f'{{\n  "verdict": "{report.verdict}"')
    assert Report.model_validate_json(text) == report
    assert json.loads(text) == report.model_dump(mode="json")
