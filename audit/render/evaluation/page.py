"""An evaluation as one page of HTML that holds all it shows."""

from functools import lru_cache
from typing import Final

from jinja2 import Environment

from audit.evaluation import Evaluation, Rate
from audit.names import harmless
from audit.phrases import percent, up_to
from audit.render.evaluation.matrix import confusion_matrix
from audit.render.evaluation.reliability import draw_reliability
from audit.render.html.page import SIGNS
from audit.render.pages import page_environment

_MEANINGS: Final = {
    "PASS": "Enough images were shown to get the right label.",
    "FAIL": "Too few images were shown to get the right label.",
    "INCONCLUSIVE": "These images do not decide whether enough images get the right label.",
}


def render_page(evaluation: Evaluation) -> bytes:
    """Write one page that loads nothing and runs nothing; it can be mailed, kept and printed."""
    figures = evaluation.figures
    page = (
        _environment()
        .get_template("evaluation.html")
        .render(
            evaluation=evaluation,
            figures=figures,
            name=evaluation.model.class_name,
            meaning=_MEANINGS.get(evaluation.verdict or ""),
            signs=SIGNS,
            matrix=confusion_matrix(evaluation),
            confused=sorted(
                (each for each in figures.confusion if each.expected != each.answered),
                key=lambda each: (-each.images, each.expected, each.answered),
            ),
            reliability=draw_reliability(figures.calibration),
            wrong=[*evaluation.wrong()],
        )
    )
    return harmless(page).encode() + b"\n"


@lru_cache(maxsize=1)
def _environment() -> Environment:
    environment = page_environment("audit.render.evaluation")
    environment.filters["interval"] = _interval
    return environment


def _interval(rate: Rate) -> str:
    return f"{percent(rate.interval.low)} to {up_to(rate.interval.high)}"
