"""A report in the formats that its readers use, a file each."""

from audit.render.formats import (
    FORMATS,
    SIGNED,
    SIGNED_SUFFIX,
    SIGNED_TYPE,
    Format,
    Renderings,
    formats,
    render,
)
from audit.render.language import LANGUAGES, Language
from audit.render.rendering import Rendering
from audit.render.text import render_text

__all__ = [
    "FORMATS",
    "LANGUAGES",
    "SIGNED",
    "SIGNED_SUFFIX",
    "SIGNED_TYPE",
    "Format",
    "Language",
    "Rendering",
    "Renderings",
    "formats",
    "render",
    "render_text",
]
