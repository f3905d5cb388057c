"""The formats that a comparison has: what each is called, where, and who writes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from audit.comparison import Comparison
from audit.render.comparison.page import render_page
from audit.render.comparison.text import render_comparison_text
from audit.render.language import Language

ComparisonFormat = Literal["json", "text", "html"]


@dataclass(frozen=True)
class ComparisonRendering:
    """A format of a comparison.

    Attributes
    ----------
    media_type
        What HTTP calls it.
    suffix
        What a file of it ends with.
    render
        Writes it in English, as UTF-8.
    translate
        Writes it in a language; None where programs read it.
    """

    media_type: str
    suffix: str
    render: Callable[[Comparison], bytes]
    translate: Callable[[Comparison, Language], bytes] | None = None


def _json(comparison: Comparison) -> bytes:
    return (comparison.model_dump_json(indent=2) + "\n").encode()


def _text(comparison: Comparison, language: Language = "en") -> bytes:
    return (render_comparison_text(comparison, language) + "\n").encode()


COMPARISON_FORMATS: Final[Mapping[ComparisonFormat, ComparisonRendering]] = {
    "json": ComparisonRendering("application/json", ".json", _json),
    "text": ComparisonRendering("text/plain", ".txt", _text, _text),
    "html": ComparisonRendering("text/html", ".html", render_page, render_page),
}


def render_comparison(
    comparison: Comparison,
    format: ComparisonFormat,  # noqa: A002 - what the option is called
    language: Language = "en",
) -> bytes:
    """Write a comparison in a format, in a language where the format is one that people read."""
    rendering = COMPARISON_FORMATS[format]
    return (
        rendering.translate(comparison, language)
        if rendering.translate
        else rendering.render(comparison)
    )
