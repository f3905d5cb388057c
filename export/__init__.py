"""From a trained network to a version of a model repository."""

from export.package import ParityError, package

__all__ = ["ParityError", "package"]
