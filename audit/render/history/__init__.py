"""A model's history as a page with curves."""

from audit.render.history.page import Addresses, render_history

__all__ = ["Addresses", "render_history"]
