"""`orbitserve audit`: whether rotated images get the same answer."""

from commands.audit.command import AuditCommand, audit

__all__ = ["AuditCommand", "audit"]
