"""`orbitserve classify`: labels of image files."""

from commands.classify.command import classify

__all__ = ["classify"]
