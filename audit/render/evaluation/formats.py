"""The formats that an evaluation has, and how their files end."""

from collections.abc import Mapping
from typing import Final, Literal

from audit.evaluation import Evaluation
from audit.render.evaluation.page import render_page
from audit.render.evaluation.table import render_table
from audit.render.evaluation.text import render_text
from audit.render.rendering import Rendering, as_json

EvaluationFormat = Literal["text", "html", "json", "csv"]


def _text(evaluation: Evaluation) -> bytes:
    return (render_text(evaluation) + "\n").encode()


EVALUATION_FORMATS: Final[Mapping[EvaluationFormat, Rendering[Evaluation]]] = {
    "text": Rendering("text/plain", ".txt", _text),
    "html": Rendering("text/html", ".html", render_page),
    "json": Rendering("application/json", ".json", as_json),
    "csv": Rendering("text/csv", ".csv", render_table),
}
