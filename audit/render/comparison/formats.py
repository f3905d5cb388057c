"""The formats that a comparison has: what each is called, where, and who writes it."""

from collections.abc import Mapping
from typing import Final, Literal

from audit.comparison import Comparison
from audit.render.comparison.page import render_page
from audit.render.comparison.text import render_comparison_text
from audit.render.language import Language
from audit.render.rendering import Rendering, as_json

ComparisonFormat = Literal["json", "text", "html"]


def _text(comparison: Comparison, language: Language = "en") -> bytes:
    return (render_comparison_text(comparison, language) + "\n").encode()


COMPARISON_FORMATS: Final[Mapping[ComparisonFormat, Rendering[Comparison]]] = {
    "json": Rendering("application/json", ".json", as_json),
    "text": Rendering("text/plain", ".txt", _text, _text),
    "html": Rendering("text/html", ".html", render_page, render_page),
}
