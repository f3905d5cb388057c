"""A report as one page of HTML that holds all it shows."""

from audit.render.html.page import render_html, render_polar
from audit.render.html.polar import centre_of

__all__ = ["centre_of", "render_html", "render_polar"]
