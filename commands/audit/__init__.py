"""`orbitserve audit`: whether turned images get the same answer."""

from commands.audit.command import audit

__all__ = ["audit"]
