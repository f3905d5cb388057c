"""The page says what the report says, draws it to scale, and needs nothing but itself."""

from collections.abc import Callable
from html.parser import HTMLParser
from math import atan2, degrees, hypot
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.typing import NDArray

from audit import AnglePlan, AngleThresholds, Report, audit_angles
from audit.canonical import report_digest
from audit.render import render
from audit.render.html.classes import class_table, draw_classes
from audit.render.html.deviations import draw_deviations
from audit.render.html.polar import centre_of, draw_polar
from audit.statistics import deviations

SVG = "{http://www.w3.org/2000/svg}"
VOID = {"meta", "link", "img", "br", "input"}


class Page(HTMLParser):
    """What is on a page: its words, its addresses, and whether all that is opened is closed."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.addresses: list[str] = []
        self.tags: list[str] = []
        self.open: list[str] = []
        self.feed(html)
        self.close()
        assert self.open == []

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.addresses += [v or "" for k, v in attrs if k in ("src", "href", "srcset", "action")]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.words.append(data)


def page(report: Report) -> Page:
    return Page(render(report, "html").decode())


# --- what it says -----------------------------------------------------------------------------


def test_the_verdict_and_its_reasons_come_first(report: Report) -> None:
    text = page(report).text
    top = text[: text.index("What was asked")]
    assert report.verdict in top
    assert all(" ".join(reason.split()) in top for reason in report.reasons)


def test_what_is_claimed_and_what_is_not_comes_before_any_figure(report: Report) -> None:
    text = page(report).text
    claims = text[: text.index("The symmetries of the pixel grid that were tried")]
    assert all(sentence in claims for sentence in report.claim)
    if report.angles is not None:
        assert all(sentence in claims for sentence in report.angles.claim)


def test_every_figure_of_the_curve_is_in_a_table(reports: dict[str, Report]) -> None:
    report = reports["broken"]
    assert report.angles is not None
    text = page(report).text
    for point in report.angles.figures.curve:
        row = f"{point.degrees:.5g}° {point.agreement:.2%} {point.band.low:.2%}"
        assert row in text
    assert text.count("The same as a table") == 5


def test_the_page_names_model_data_runtime_replay_and_report(report: Report) -> None:
    text = page(report).text
    assert report.model.sha256 in text
    assert report.data.sha256 in text
    assert report_digest(report) in text
    assert all(digest in text for digest in report.data.image_sha256)
    assert report.execution is not None
    assert f"{report.execution.runtime} {report.execution.runtime_version}" in text
    assert report.replay is not None
    assert report.replay in text


def test_the_gallery_shows_the_pictures_of_the_report(reports: dict[str, Report]) -> None:
    report = reports["broken"]
    shown = page(report).addresses
    for worst in report.worst:
        assert f"data:image/png;base64,{worst.counterexample.upright_png}" in shown
        assert f"data:image/png;base64,{worst.counterexample.rotated_png}" in shown


def test_a_report_without_pictures_has_a_page(reports: dict[str, Report]) -> None:
    report = reports["broken"]
    bare = {"upright_png": None, "rotated_png": None}
    worst = tuple(
        each.model_copy(update={"counterexample": each.counterexample.model_copy(update=bare)})
        for each in report.worst
    )
    kept = report.model_copy(update={"worst": worst, "angles": None})
    assert not any(address.startswith("data:image") for address in page(kept).addresses)


# --- it needs nothing but itself ---------------------------------------------------------------


def test_nothing_is_loaded_and_nothing_runs(report: Report) -> None:
    found = page(report)
    assert all(address.startswith("data:") for address in found.addresses)
    assert not {"script", "iframe", "object", "embed", "form", "base"} & set(found.tags)
    assert found.tags.count("meta") == 5


def test_names_are_words_and_never_code(reports: dict[str, Report]) -> None:
    html = render(reports["nasty"], "html").decode()
    assert reports["nasty"].data.source not in html
    assert "<b>" not in html
    assert "{{ 7 * 7 }}" in Page(html).text


def test_a_picture_that_is_no_picture_stays_in_its_attribute(reports: dict[str, Report]) -> None:
    report = reports["broken"]
    first, *others = report.worst
    forged = first.counterexample.model_copy(update={"upright_png": '"><script>alert(1)</script>'})
    worst = (first.model_copy(update={"counterexample": forged}), *others)
    assert "script" not in page(report.model_copy(update={"worst": worst})).tags


# --- it is drawn to scale ----------------------------------------------------------------------


def shapes(svg: str, name: str, kind: str) -> list[ElementTree.Element]:
    found = ElementTree.fromstring(svg).iter(f"{SVG}{name}")
    return [shape for shape in found if kind in (shape.get("class") or "").split()]


def test_the_polar_plot_has_its_points_where_the_figures_are(reports: dict[str, Report]) -> None:
    report = reports["broken"]
    assert report.angles is not None
    curve = report.angles.figures.curve
    low = centre_of(curve)
    svg = draw_polar(report.angles.figures)
    rings = [float(ring.get("r", 0)) for ring in shapes(svg, "circle", "grid")]
    for point, dot in zip(curve, shapes(svg, "circle", "dot"), strict=True):
        x, y = float(dot.get("cx", 0)) - 230, 230 - float(dot.get("cy", 0))
        part = (hypot(x, y) - min(rings)) / (max(rings) - min(rings))
        assert low + (1 - low) * part == pytest.approx(point.agreement, abs=2e-4)
        assert degrees(atan2(y, x)) % 360 == pytest.approx(point.degrees, abs=0.2)
    assert all(point.band.low >= low for point in curve)
    assert f"the inner ring is {low:.0%}" in svg


def test_the_histogram_has_a_bar_for_every_image() -> None:
    moved = deviations(np.array([0, 0, 1e-6, 3e-6, 3e-6, 0.4]), 1.0)
    svg = draw_deviations({"all": moved}, {"floor": 0.0, "tolerance": 1e-4})
    bars = shapes(svg, "rect", "bar")
    heights = [float(bar.get("height", 0)) for bar in bars]
    assert heights == pytest.approx([84, 42, 84, 42], abs=0.1)
    lefts = [float(bar.get("x", 0)) for bar in bars]
    assert lefts == sorted(lefts)
    (_, tolerance) = shapes(svg, "line", "mark")
    assert lefts[-2] < float(tolerance.get("x1", 0)) < lefts[-1]


@pytest.mark.slow
def test_many_angles_and_classes_are_gathered_into_the_worst(images: NDArray[np.uint8]) -> None:
    def classify(images: NDArray[np.uint8]) -> NDArray[np.float32]:
        """Forty classes by the brightest pixel of two rows: all of it rotates with the image."""
        return images[:, 0, :5].reshape(len(images), -1).astype(np.float32)

    figures = audit_angles(
        classify, images[:80], None, plan=AnglePlan(100), thresholds=AngleThresholds()
    ).figures
    table = class_table(figures)
    assert len(table.columns) == 34
    assert table.angles == 3
    assert len(table.rows) == 20
    assert table.left_out == len(figures.class_curves) - 20
    curves = {curve.label: curve for curve in figures.class_curves}
    for label, count, lost in table.rows:
        assert lost[1] == count - min(curves[label].agreeing[3:6])
    written = [text.text for text in shapes(draw_classes(table), "text", "count")]
    assert written == [str(n) for _, _, lost in table.rows for n in lost if n]


# --- it is what a browser shows ------------------------------------------------------------------


@pytest.fixture
def shown(browse: Callable[..., Any], report: Report) -> Any:
    return browse(render(report, "html").decode())


@pytest.mark.slow
@pytest.mark.browser
def test_a_phone_shows_all_of_it_and_asks_the_network_for_nothing(shown: Any) -> None:
    assert shown.width == 390
    assert shown.complaints == []
    assert shown.requests == []


@pytest.mark.slow
@pytest.mark.browser
def test_every_picture_is_one(shown: Any, report: Report) -> None:
    widths = shown.ask("[...document.images].map(image => image.naturalWidth)")
    expected = 2 * len(report.worst)
    expected += 0 if report.angles is None else 2 * len(report.angles.counterexamples)
    assert widths == [8] * expected


@pytest.mark.slow
@pytest.mark.browser
def test_lines_and_bars_differ_without_colour(browse: Any, reports: dict[str, Report]) -> None:
    shown = browse(render(reports["broken"], "html").decode())
    kinds = [".agreement", ".back", ".damped", ".mark0", ".mark1"]
    dashes = [
        shown.ask(f"getComputedStyle(document.querySelector('svg[role=img] {k}')).strokeDasharray")
        for k in kinds
    ]
    assert len(set(dashes[:3])) == 3
    assert dashes[3] != dashes[4]
    signs = shown.ask("[...document.querySelectorAll('.sign')].map(each => each.textContent)")
    assert signs[0] == "✕"


@pytest.mark.slow
@pytest.mark.browser
def test_every_chart_has_a_name_and_a_table(shown: Any) -> None:
    unnamed = "document.querySelectorAll('svg[role=img]:not(:has(> title))').length"
    assert shown.ask(unnamed) == 0
    lonely = """[...document.querySelectorAll('svg[role=img]')].filter(
        svg => !svg.closest('section').querySelector('figure ~ details table')).length"""
    assert shown.ask(lonely) == 0


@pytest.mark.slow
@pytest.mark.browser
@pytest.mark.parametrize(
    ("mutant", "noticed"),
    [
        ('<img src="http://127.0.0.1:9/x.png">', "complaints"),
        ("<script>document.title = 'run'</script>", "complaints"),
        ('<div style="width: 500px">wide</div>', "width"),
    ],
)
def test_a_broken_page_is_noticed(
    browse: Any, reports: dict[str, Report], mutant: str, noticed: str
) -> None:
    html = render(reports["kept"], "html").decode().replace("<main>", f"<main>{mutant}")
    shown = browse(html)
    assert shown.complaints if noticed == "complaints" else shown.width > 390
    assert "run" not in shown.ask("document.title").split()
