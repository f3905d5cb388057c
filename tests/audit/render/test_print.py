"""The page, printed: a few sheets with versions, digest, a line for the date and one to sign on."""

import re
from collections.abc import Callable
from io import BytesIO
from typing import Any

import pytest
from pypdf import PdfReader

from audit import Report
from audit.canonical import report_digest
from audit.render import render

pytestmark = pytest.mark.browser

# Inches: A4 and Letter.
SHEETS = {"A4": (8.27, 11.69), "Letter": (8.5, 11.0)}


@pytest.fixture(params=SHEETS)
def sheet(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def printed(browse: Callable[[str], Any], sheet: str) -> Callable[..., PdfReader]:
    def printed(report: Report, language: Any = "en") -> PdfReader:
        shown = browse(render(report, "html", language=language).decode())
        return PdfReader(BytesIO(shown.page.pdf(format=sheet)))

    return printed


def text(pdf: PdfReader) -> str:
    return " ".join(" ".join(page.extract_text() for page in pdf.pages).split())


def test_a_few_pages_say_what_is_signed(
    printed: Callable[..., PdfReader], reports: dict[str, Report], sheet: str
) -> None:
    report = reports["named"]
    pdf = printed(report)
    assert 3 <= len(pdf.pages) <= 9
    first = " ".join(pdf.pages[0].extract_text().split())
    squeezed = re.sub(r"\s", "", first)
    assert report.verdict in first
    assert report_digest(report) in squeezed
    assert report.model.sha256 in squeezed
    assert report.data.sha256 in squeezed
    assert report.execution is not None
    assert f"orbitserve {report.execution.orbitserve}" in first
    assert "Date:" in first
    assert "Signature" in text(pdf)
    width, height = SHEETS[sheet]
    assert float(pdf.pages[0].mediabox.width) == pytest.approx(72 * width, abs=2)
    assert float(pdf.pages[0].mediabox.height) == pytest.approx(72 * height, abs=2)


def test_every_page_says_which_report_it_is_of_and_its_number(
    printed: Callable[..., PdfReader], reports: dict[str, Report]
) -> None:
    report = reports["named"]
    pdf = printed(report)
    for number, page in enumerate(pdf.pages, 1):
        said = " ".join(page.extract_text().split())
        assert f"sha256:{report_digest(report)[:16]}" in said
        assert f"{number} / {len(pdf.pages)}" in said


def test_paper_holds_what_matters_and_no_list_of_digests(
    printed: Callable[..., PdfReader], reports: dict[str, Report]
) -> None:
    report = reports["named"]
    said = text(printed(report))
    for reason in report.reasons:
        assert " ".join(reason.split())[:40] in said
    assert "hexagon nut" in said
    assert report.data.image_sha256[-1] not in said.replace(" ", "")


def test_no_picture_and_no_row_is_cut(
    browse: Callable[[str], Any], reports: dict[str, Report]
) -> None:
    shown = browse(render(reports["named"], "html").decode())
    shown.page.emulate_media(media="print")
    kept = """[...document.querySelectorAll('tr, figure, .exhibit, .verdict, .signature')]
        .every(each => getComputedStyle(each).breakInside === 'avoid')"""
    assert shown.ask(kept)


def test_on_paper_nothing_is_told_by_a_colour(
    browse: Callable[[str], Any], reports: dict[str, Report]
) -> None:
    shown = browse(render(reports["named"], "html").decode())
    shown.page.emulate_media(media="print")
    colours = shown.ask(
        """[...document.querySelectorAll('body *')].flatMap(each => {
            const style = getComputedStyle(each);
            return [style.color, style.fill, style.stroke, style.borderTopColor];
        })"""
    )
    for colour in {each for each in colours if each.startswith("rgb")}:
        red, green, blue = re.findall(r"[\d.]+", colour)[:3]
        assert red == green == blue, colour


def test_a_screen_has_no_lines_to_fill_in(
    browse: Callable[[str], Any], reports: dict[str, Report]
) -> None:
    shown = browse(render(reports["named"], "html").decode())
    seen = "[...document.querySelectorAll('.paper')].filter(each => each.checkVisibility()).length"
    assert shown.ask(seen) == 0
    shown.page.emulate_media(media="print")
    assert shown.ask(seen) == 2


def test_german_prints_too(printed: Callable[..., PdfReader], reports: dict[str, Report]) -> None:
    said = text(printed(reports["named"], "de"))
    assert "Unterschrift" in said
    assert "Datum:" in said
