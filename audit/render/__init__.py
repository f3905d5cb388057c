"""A report in the formats that its readers use, a file each."""

from audit.render.formats import (
    FORMATS,
    SIGNED,
    SIGNED_SUFFIX,
    Format,
    Rendering,
    formats,
    render,
)
from audit.render.language import LANGUAGES, Language
from audit.render.text import render_text

__all__ = [
    "FORMATS",
    "LANGUAGES",
    "SIGNED",
    "SIGNED_SUFFIX",
    "Format",
    "Language",
    "Rendering",
    "formats",
    "render",
    "render_text",
]
