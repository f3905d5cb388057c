"""The page, printed: a few sheets with versions, digest, a line for the date and one to sign on."""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from io import BytesIO
from typing import Any

import pytest
from pypdf import PdfReader

from audit import Report
from audit.canonical import report_digest
from audit.render import render

pytestmark = [pytest.mark.slow, pytest.mark.browser]

# Inches: A4 and Letter.
SHEETS = {"A4": (8.27, 11.69), "Letter": (8.5, 11.0)}


@dataclass(frozen=True)
class Printed:
    """The words of each page, and the sheet's width and height in points."""

    pages: list[str]
    sheet: tuple[float, float]

    @property
    def text(self) -> str:
        return " ".join(self.pages)


@pytest.fixture(scope="module")
def printed(browse: Callable[[str], Any]) -> Callable[..., Printed]:
    @cache
    def printed(html: bytes, sheet: str) -> Printed:
        pages = PdfReader(BytesIO(browse(html.decode()).page.pdf(format=sheet))).pages
        box = pages[0].mediabox
        said = [" ".join(page.extract_text().split()) for page in pages]
        return Printed(said, (float(box.width), float(box.height)))

    return printed


@pytest.fixture
def report(reports: dict[str, Report]) -> Report:
    return reports["named"]


@pytest.fixture
def shown(browse: Callable[[str], Any], report: Report) -> Iterator[Any]:
    shown = browse(render(report, "html").decode())
    yield shown
    shown.page.emulate_media(media="screen")


@pytest.mark.parametrize("sheet", SHEETS)
def test_a_few_pages_say_what_is_signed(
    printed: Callable[..., Printed], report: Report, sheet: str
) -> None:
    pdf = printed(render(report, "html"), sheet)
    assert 3 <= len(pdf.pages) <= 9
    first = pdf.pages[0]
    squeezed = re.sub(r"\s", "", first)
    assert report.verdict in first
    assert report_digest(report) in squeezed
    assert report.model.sha256 in squeezed
    assert report.data.sha256 in squeezed
    assert report.execution is not None
    assert f"orbitserve {report.execution.orbitserve}" in first
    assert "Date:" in first
    assert "Signature" in pdf.text
    assert pdf.sheet == pytest.approx([72 * side for side in SHEETS[sheet]], abs=2)


def test_every_page_says_which_report_it_is_of_and_its_number(
    printed: Callable[..., Printed], report: Report
) -> None:
    pdf = printed(render(report, "html"), "A4")
    for number, said in enumerate(pdf.pages, 1):
        assert f"sha256:{report_digest(report)[:16]}" in said
        assert f"{number} / {len(pdf.pages)}" in said


def test_paper_holds_what_matters_and_no_list_of_digests(
    printed: Callable[..., Printed], report: Report
) -> None:
    said = printed(render(report, "html"), "A4").text
    for reason in report.reasons:
        assert " ".join(reason.split())[:40] in said
    assert "hexagon nut" in said
    assert report.data.image_sha256[-1] not in said.replace(" ", "")


def test_no_picture_and_no_row_is_cut(shown: Any) -> None:
    shown.page.emulate_media(media="print")
    kept = """[...document.querySelectorAll('tr, figure, .exhibit, .verdict, .signature')]
        .every(each => getComputedStyle(each).breakInside === 'avoid')"""
    assert shown.ask(kept)


def test_on_paper_nothing_is_told_by_a_colour(shown: Any) -> None:
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


def test_a_screen_has_no_lines_to_fill_in(shown: Any) -> None:
    seen = "[...document.querySelectorAll('.paper')].filter(each => each.checkVisibility()).length"
    assert shown.ask(seen) == 0
    shown.page.emulate_media(media="print")
    assert shown.ask(seen) == 2


def test_german_prints_too(browse: Callable[[str], Any], report: Report) -> None:
    shown = browse(render(report, "html", language="de").decode())
    shown.page.emulate_media(media="print")
    said = shown.ask("document.body.innerText")
    assert "Unterschrift" in said
    assert "Datum:" in said
