"""The forms that a comparison has: what each is called, where, and who writes it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

from audit.comparison import Comparison
from audit.render.comparison.page import render_page
from audit.render.comparison.text import render_comparison_text

ComparisonFormat = Literal["json", "text", "html"]


@dataclass(frozen=True)
class ComparisonRendering:
    """A form of a comparison.

    Attributes
    ----------
    media_type
        What HTTP calls it.
    suffix
        What a file of it ends with.
    render
        Writes it, as UTF-8.
    """

    media_type: str
    suffix: str
    render: Callable[[Comparison], bytes]


def _json(comparison: Comparison) -> bytes:
    return (comparison.model_dump_json(indent=2) + "\n").encode()


def _text(comparison: Comparison) -> bytes:
    return (render_comparison_text(comparison) + "\n").encode()


COMPARISON_FORMATS: Final[Mapping[ComparisonFormat, ComparisonRendering]] = {
    "json": ComparisonRendering("application/json", ".json", _json),
    "text": ComparisonRendering("text/plain", ".txt", _text),
    "html": ComparisonRendering("text/html", ".html", render_page),
}


def render_comparison(comparison: Comparison, format: ComparisonFormat) -> bytes:  # noqa: A002
    """Write a comparison in a form."""
    return COMPARISON_FORMATS[format].render(comparison)
