"""The page: what is drawn and said, handed to its template."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from jinja2 import Environment, PackageLoader, StrictUndefined, Template

from audit.angles import AngleOutcome
from audit.canonical import report_digest
from audit.render.checks import checks
from audit.render.html.arcs import draw_arcs
from audit.render.html.classes import class_table, draw_classes
from audit.render.html.drift import draw_drift
from audit.render.html.gallery import angle_exhibits, orbit_exhibits
from audit.render.html.polar import centre_of, draw_polar
from audit.report import Report

SIGNS: Final = {"PASS": "✓", "FAIL": "✕", "INCONCLUSIVE": "?"}
_MEANINGS: Final = {
    "PASS": "The answers were shown to stay the same when images are turned, as far as was asked.",
    "FAIL": "The answers were shown to change when images are turned, by more than is allowed.",
    "INCONCLUSIVE": "These images do not decide whether the answers stay the same.",
}


def render_html(report: Report) -> bytes:
    """Write one page that loads nothing and runs nothing; it can be mailed, kept and printed."""
    page = _template().render(
        report=report,
        digest=report_digest(report),
        checks=checks(report),
        meaning=_MEANINGS[report.verdict],
        signs=SIGNS,
        drift=draw_drift(
            {f"{report.figures.images} images": report.figures.drift},
            {
                "noise floor": report.noise_floor.relative,
                "tolerance": report.thresholds.logit_tolerance,
            },
        ),
        orbit_exhibits=[*orbit_exhibits(report)],
        **_between(report),
        **_around(report),
    )
    return page.encode() + b"\n"


def _between(report: Report) -> Mapping[str, Any]:
    if report.angles is None:
        return {}
    figures = report.angles.figures
    table = class_table(figures)
    return {
        "polar": draw_polar(figures),
        "centre": centre_of(figures.curve),
        "class_table": table,
        "class_chart": draw_classes(table),
        "angle_drift": draw_drift(
            {"turned": figures.drift, "turned and turned back": figures.control_drift}, {}
        ),
        "angle_exhibits": [*angle_exhibits(report)],
    }


def _around(report: Report) -> Mapping[str, Any]:
    if report.circle is None:
        return {}
    return {"circle_charts": [(image, draw_arcs(image)) for image in report.circle.images]}


def render_polar(angles: AngleOutcome, low: float | None = None) -> bytes:
    """Write agreement by angle, as `draw_polar` draws it, as an SVG file of its own on white."""
    style = _environment().get_template("charts.css").render()
    head, tail = draw_polar(angles.figures, low).split("</title>", 1)
    return f"{head}</title><style>{style}svg{{background:#fff}}</style>{tail}\n".encode()


def _template() -> Template:
    return _environment().get_template("page.html")


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("audit.render.html", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda part: f"{part:.2%}"
    environment.filters["asked"] = lambda part: f"{100 * part:.6g}%"
    environment.filters["brief"] = lambda value: f"{value:.3g}"
    return environment
