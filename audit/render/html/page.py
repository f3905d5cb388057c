"""The page: what is drawn and said, handed to its template."""

from collections.abc import Mapping
from typing import Any, Final

from audit.angles import AngleOutcome
from audit.canonical import report_digest
from audit.names import harmless
from audit.render.checks import checks
from audit.render.html.classes import class_table, draw_classes
from audit.render.html.deviations import draw_deviations
from audit.render.html.gallery import angle_exhibits, orbit_exhibits
from audit.render.html.glossary import GLOSSARY
from audit.render.html.intervals import draw_intervals
from audit.render.html.polar import centre_of, draw_polar
from audit.render.language import Language, Words, words_of
from audit.render.naming import Naming, what_is_said
from audit.render.pages import page_environment
from audit.render.properties import said_about
from audit.report import Report

_PACKAGE: Final = "audit.render.html"

SIGNS: Final = {"PASS": "✓", "FAIL": "✕", "INCONCLUSIVE": "?"}
MEANINGS: Final = {
    "PASS": "The answers were shown to stay the same when images are rotated, as far as was asked.",
    "FAIL": "The answers were shown to change when images are rotated, by more than is allowed.",
    "INCONCLUSIVE": "These images do not decide whether the answers stay the same.",
}


def render_html(report: Report, language: Language = "en") -> bytes:
    """Write one page that loads nothing and runs nothing; it can be mailed, kept and printed."""
    words = words_of(language)
    naming = Naming(report, words)
    page = (
        page_environment(_PACKAGE, language)
        .get_template("page.html")
        .render(
            report=report,
            digest=report_digest(report),
            checks=checks(report),
            meaning=MEANINGS[report.verdict],
            signs=SIGNS,
            naming=naming,
            glossary=GLOSSARY,
            said=[(what_is_said(name, words), value) for name, value in said_about(report)],
            deviations=draw_deviations(
                {words("{count} images", count=report.figures.images): report.figures.deviations},
                {
                    words("noise floor"): report.noise_floor.relative,
                    words("tolerance"): report.thresholds.logit_tolerance,
                },
                words,
            ),
            orbit_exhibits=[*orbit_exhibits(report, naming)],
            **_between(report, words, naming),
            **_around(report, words, naming),
        )
    )
    return harmless(page).encode() + b"\n"


def _between(report: Report, words: Words, naming: Naming) -> Mapping[str, Any]:
    if report.angles is None:
        return {}
    figures = report.angles.figures
    table = class_table(figures)
    return {
        "polar": draw_polar(figures, words=words),
        "centre": centre_of(figures.curve),
        "class_table": table,
        "class_chart": draw_classes(table, naming.label_narrow, words),
        "angle_deviations": draw_deviations(
            {
                words("rotated"): figures.deviations,
                words("rotated and rotated back"): figures.control_deviations,
            },
            {},
            words,
        ),
        "angle_exhibits": [*angle_exhibits(report, words)],
    }


def _around(report: Report, words: Words, naming: Naming) -> Mapping[str, Any]:
    if report.exhaustive_angles is None:
        return {}
    charts = [
        (image, draw_intervals(image, words, naming)) for image in report.exhaustive_angles.images
    ]
    return {"exhaustive_charts": charts}


def render_polar(angles: AngleOutcome, low: float | None = None) -> bytes:
    """Write agreement by angle, as `draw_polar` draws it, as an SVG file of its own on white."""
    style = page_environment(_PACKAGE).get_template("charts.css").render(on_white=True)
    head, tail = draw_polar(angles.figures, low).split("</title>", 1)
    return f"{head}</title><style>{style}svg{{background:#fff}}</style>{tail}\n".encode()
