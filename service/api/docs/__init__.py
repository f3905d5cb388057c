"""The description of the calls: for programs, and as a page that needs nothing from elsewhere."""

from service.api.docs.routes import documentation_routes

__all__ = ["documentation_routes"]
