"""`orbitserve verify`: whether a report is the one that was signed, and a ledger what it was."""

from commands.verify.command import verify

__all__ = ["verify"]
