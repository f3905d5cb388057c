"""The forms that an evaluation has, by the endings of their files."""

from collections.abc import Callable, Mapping
from typing import Final, Literal

from audit.evaluation import Evaluation
from audit.render.evaluation.page import render_page
from audit.render.evaluation.table import render_table
from audit.render.evaluation.text import render_text
from imaging import RefusedError

EvaluationForm = Literal["text", "html", "json", "csv"]


def _json(evaluation: Evaluation) -> bytes:
    return (evaluation.model_dump_json(indent=2) + "\n").encode()


def _text(evaluation: Evaluation) -> bytes:
    return (render_text(evaluation) + "\n").encode()


_RENDERERS: Final[Mapping[EvaluationForm, Callable[[Evaluation], bytes]]] = {
    "text": _text,
    "html": render_page,
    "json": _json,
    "csv": render_table,
}

_ENDINGS: Final[Mapping[str, EvaluationForm]] = {
    ".html": "html",
    ".json": "json",
    ".csv": "csv",
    ".txt": "text",
}


def render_evaluation(evaluation: Evaluation, form: EvaluationForm) -> bytes:
    """Write an evaluation in a form, as UTF-8."""
    return _RENDERERS[form](evaluation)


def render_form(name: str) -> EvaluationForm:
    """Say which form a file has by its name; ValueError if it tells none."""
    for ending, form in _ENDINGS.items():
        if name.lower().endswith(ending):
            return form
    raise RefusedError(f"The name {name} tells no form; one of {', '.join(_ENDINGS)} is accepted.")
