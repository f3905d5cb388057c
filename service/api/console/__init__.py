"""The console: a page to turn a picture on and see whether the answer stands still."""

from service.api.console.routes import console_routes

__all__ = ["console_routes"]
