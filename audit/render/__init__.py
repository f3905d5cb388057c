"""A report in the forms that its readers use, a file each."""

from audit.render.text import render_text

__all__ = ["render_text"]
