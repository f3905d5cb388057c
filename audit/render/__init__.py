"""A report in the forms that its readers use, a file each."""

from audit.render.formats import FORMATS, Format, Rendering, render
from audit.render.text import render_text

__all__ = ["FORMATS", "Format", "Rendering", "render", "render_text"]
