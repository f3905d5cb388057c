"""A report as one page of HTML that holds all it shows."""

from audit.render.html.page import render_html

__all__ = ["render_html"]
