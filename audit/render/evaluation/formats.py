"""The formats that an evaluation has, by the endings of their files."""

from collections.abc import Callable, Mapping
from typing import Final, Literal

from audit.evaluation import Evaluation
from audit.render.evaluation.page import render_page
from audit.render.evaluation.table import render_table
from audit.render.evaluation.text import render_text
from imaging import RefusedError

EvaluationFormat = Literal["text", "html", "json", "csv"]


def _json(evaluation: Evaluation) -> bytes:
    return (evaluation.model_dump_json(indent=2) + "\n").encode()


def _text(evaluation: Evaluation) -> bytes:
    return (render_text(evaluation) + "\n").encode()


_RENDERERS: Final[Mapping[EvaluationFormat, Callable[[Evaluation], bytes]]] = {
    "text": _text,
    "html": render_page,
    "json": _json,
    "csv": render_table,
}

_ENDINGS: Final[Mapping[str, EvaluationFormat]] = {
    ".html": "html",
    ".json": "json",
    ".csv": "csv",
    ".txt": "text",
}


def render_evaluation(evaluation: Evaluation, evaluation_format: EvaluationFormat) -> bytes:
    """Write an evaluation in a format, as UTF-8."""
    return _RENDERERS[evaluation_format](evaluation)


def format_of(name: str) -> EvaluationFormat:
    """Say which format a file has by its name; ValueError if it tells none."""
    for ending, evaluation_format in _ENDINGS.items():
        if name.lower().endswith(ending):
            return evaluation_format
    raise RefusedError(
        f"The name {name} tells no format; one of {', '.join(_ENDINGS)} is accepted."
    )
